"""
From nginx's access log to the store: what is new in each file, slice by slice, and then the file goes.

Nothing is lost or counted twice, however control ends: how far a file was counted is in the same transaction as its
counts, and a file is removed only after all of it was.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import structlog

from mirror_control.downloads.access_log import AccessLog, MinuteFile
from mirror_control.downloads.served import Served
from mirror_control.downloads.store import Place, Store, StoreError
from mirror_control.downloads.tally import Tally

log = structlog.get_logger(__name__)

# Some 3,000 lines. Each slice is a transaction, which waits for the disk; what comes in a second is less.
_SLICE = 1 << 20
# So many lines, 1 ms of them, then a rest. A thread that never rests uses up its turn of a busy processor while it
# holds the interpreter, and until its next one nobody is answered: with a backlog, at a load of 10 on two cores, the
# loop was late by 27 ms 99 times of 100, and is by 16. With half of both, a busy machine counted 13,000 lines/s.
_LINES, _REST_SECONDS = 200, 0.002
# A first line differs from another of the same minute in its time or in what it asks for, near its begin.
_HEAD = 512
# How old statistics and metrics are, at most; Prometheus looks every 15 s or more.
_EVERY = 1.0
_FULL = "the access log's volume is full: nginx loses lines until files of past minutes are removed; look for a flood"


class Intake:
    """
    Counts what nginx logs.

    Args:
        access_log: where nginx writes it.
        path: the store's file.
        kept: how long a day is kept.
    """

    def __init__(self, access_log: AccessLog, path: Path, *, kept: timedelta) -> None:
        self._log = access_log
        self._path = path
        self._kept = kept
        self._store: Store | None = None
        self._expired: date | None = None
        self.served = Served()
        self.trouble: str | None = None
        """Why nothing is counted at present."""

    async def follow(self) -> NoReturn:
        """
        Count for ever; what goes wrong is told, and tried again.

        The work is done in a thread. Cancelled, it ends with the slice in hand counted or not, but never half.
        """
        try:
            while True:
                work = asyncio.create_task(asyncio.to_thread(self.take, now=datetime.now(UTC)))
                try:
                    tally = await asyncio.shield(work)
                except asyncio.CancelledError:
                    await work
                    raise
                if tally is None:
                    await asyncio.sleep(_EVERY)
                else:
                    self.served.merge(tally.served)
        finally:
            self.close()

    def take(self, *, now: datetime) -> Tally | None:
        """Count the next slice that is new, and return it; None where there is none, or none can be counted."""
        try:
            tally = self._take(now=now)
        except (OSError, sqlite3.Error, StoreError) as error:
            self.close()
            self._tell(str(error))
            return None
        if tally is None:  # so all of it was looked at
            self._tell(_FULL if self._log.full() else None)
        return tally

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _take(self, *, now: datetime) -> Tally | None:
        if self._store is None:
            self._store = Store(self._path)
        if self._expired != now.date():
            self._store.expire(today=now.date(), kept=self._kept)
            self._expired = now.date()
        files = self._log.files()
        troubles: list[OSError] = []
        for file in files:
            try:
                if tally := self._read(file, self._store, now=now):
                    return tally
            except OSError as error:  # keeps no other file
                troubles.append(error)
        if troubles:
            raise troubles[0]
        self._store.forget(but=(file.path.name for file in files))
        return None

    def _read(self, file: MinuteFile, store: Store, *, now: datetime) -> Tally | None:
        closed = file.closed(now)
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            head = os.pread(descriptor, _HEAD, 0)
            place = store.place(file.path.name)
            offset = place.offset if place and head.startswith(place.head) else 0
            content = os.pread(descriptor, _SLICE, offset)
        finally:
            os.close(descriptor)
        end = content.rfind(b"\n") + 1
        if not end and (closed or len(content) == _SLICE):
            end = len(content)  # torn by a full volume, or longer than nginx makes any
        if end:
            tally = Tally.of(_resting(content[:end].splitlines()))
            store.add(tally, file=file.path.name, place=Place(offset + end, head))
            return tally
        if closed:
            with suppress(FileNotFoundError):
                file.path.unlink()
        return None

    def _tell(self, trouble: str | None) -> None:
        """Log the change alone, not every look."""
        if trouble and not self.trouble:
            log.warning("downloads are not counted; the access log's volume will fill up", error=trouble)
        elif self.trouble and not trouble:
            log.info("downloads are counted again")
        self.trouble = trouble


def _resting(lines: list[bytes]) -> Iterator[bytes]:
    """Yield all lines, and rest before every few."""
    for begin in range(0, len(lines), _LINES):
        time.sleep(_REST_SECONDS)
        yield from lines[begin : begin + _LINES]
