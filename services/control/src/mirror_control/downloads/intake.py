"""
The intake of nginx's access log: control counts each file in slices, then deletes it.

Nothing is lost or counted twice, even if control crashes: the counts and the position in the file are stored in one
transaction, and a file is deleted only after it was counted completely.
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
from mirror_control.downloads.certificate import read_certificate_end
from mirror_control.downloads.edge_metrics import EdgeState
from mirror_control.downloads.serving_metrics import ServingMetrics
from mirror_control.downloads.store import Position, Store, StoreError
from mirror_control.downloads.tally import Tally

log = structlog.get_logger(__name__)

# About 3,000 lines, more than a usual second of log. Each slice is a transaction, which waits for the disk.
_SLICE_BYTES = 1 << 20
# The thread pauses after this many lines, which take 1 ms. Otherwise a busy machine may suspend the thread while it
# holds the interpreter lock, and nobody is answered meanwhile. With a backlog and a load of 10 on two cores, pauses
# reduce the 99th percentile of the loop's delay from 27 to 16 ms. Half of both values left 13,000 lines/s.
_LINES_PER_PAUSE, _PAUSE_SECONDS = 200, 0.002
# Enough to tell two files of the same minute apart: their first lines differ in time or path, which come first.
_HEAD_BYTES = 512
# The greatest age of statistics and metrics; Prometheus scrapes every 15 s or more.
_POLL_SECONDS = 1.0
_VOLUME_FULL = "the access log's volume is full: nginx loses lines until control deletes old files; look for a flood"


class Intake:
    """
    Counts the requests that nginx logs.

    Args:
        access_log: nginx's access log.
        path: the store's file.
        kept: how long the statistics of a day are kept.
    """

    def __init__(self, access_log: AccessLog, path: Path, *, kept: timedelta) -> None:
        self._log = access_log
        self._path = path
        self._kept = kept
        self._store: Store | None = None
        self._expired: date | None = None
        self.metrics = ServingMetrics()
        self.error: str | None = None
        """Why counting has stopped; None while it works."""

    def edge_state(self) -> EdgeState | None:
        """Return what nginx reports as an edge; None on an origin."""
        return EdgeState.load(self._log.directory)

    def certificate_end(self) -> datetime | None:
        """Return when the certificate that nginx serves ends; None without HTTPS."""
        return read_certificate_end(self._log.directory)

    async def count_forever(self) -> NoReturn:
        """
        Count new lines forever; log errors and retry.

        A thread does the work. Cancelling waits for the current slice, so that it is counted entirely or not at all.
        """
        try:
            while True:
                work = asyncio.create_task(asyncio.to_thread(self.count_slice, now=datetime.now(UTC)))
                try:
                    tally = await asyncio.shield(work)
                except asyncio.CancelledError:
                    await work
                    raise
                if tally is None:
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    self.metrics.merge(tally.metrics)
        finally:
            self.close()

    def count_slice(self, *, now: datetime) -> Tally | None:
        """Count the next new slice and return its tally; None if nothing is new or counting failed."""
        try:
            tally = self._count_slice(now=now)
        except (OSError, sqlite3.Error, StoreError) as error:
            self.close()
            self._log_change(str(error))
            return None
        if tally is None:  # so all lines are counted
            self._log_change(_VOLUME_FULL if self._log.is_full() else None)
        return tally

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _count_slice(self, *, now: datetime) -> Tally | None:
        if self._store is None:
            self._store = Store(self._path)
        if self._expired != now.date():
            self._store.expire(today=now.date(), kept=self._kept)
            self._expired = now.date()
        files = self._log.files()
        errors: list[OSError] = []
        for file in files:
            try:
                if tally := self._read(file, self._store, now=now):
                    return tally
            except OSError as error:  # the other files are still counted
                errors.append(error)
        if errors:
            raise errors[0]
        self._store.delete_positions(except_for=(file.path.name for file in files))
        return None

    def _read(self, file: MinuteFile, store: Store, *, now: datetime) -> Tally | None:
        closed = file.is_closed(now)
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            head = os.pread(descriptor, _HEAD_BYTES, 0)
            position = store.get_position(file.path.name)
            offset = position.offset if position and head.startswith(position.head) else 0
            content = os.pread(descriptor, _SLICE_BYTES, offset)
        finally:
            os.close(descriptor)
        end = content.rfind(b"\n") + 1
        if not end and (closed or len(content) == _SLICE_BYTES):
            end = len(content)  # truncated by a full volume, or longer than any line of nginx
        if end:
            tally = Tally.of(_with_pauses(content[:end].splitlines()))
            store.add(tally, file=file.path.name, position=Position(offset + end, head))
            return tally
        if closed:
            with suppress(FileNotFoundError):
                file.path.unlink()
        return None

    def _log_change(self, error: str | None) -> None:
        """Log a failure or recovery once, not with every poll."""
        if error and not self.error:
            log.warning("counting downloads failed; the access log's volume will fill up", error=error)
        elif self.error and not error:
            log.info("downloads are counted again")
        self.error = error


def _with_pauses(lines: list[bytes]) -> Iterator[bytes]:
    """Yield all lines, with a short pause before each 200."""
    for begin in range(0, len(lines), _LINES_PER_PAUSE):
        time.sleep(_PAUSE_SECONDS)
        yield from lines[begin : begin + _LINES_PER_PAUSE]
