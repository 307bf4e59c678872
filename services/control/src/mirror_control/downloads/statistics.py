"""Download statistics and misses, as the API returns them."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response

from mirror_control.client.download_schemas import DownloadFilter, Downloads, Misses, MissFilter
from mirror_control.downloads.queries import read_downloads, read_misses
from mirror_control.downloads.store import StoreError, connect
from mirror_control.problems import problem_response

Answer = TypeVar("Answer")

_REMEDY = "Check `docker compose logs control` and the free space on Docker's disk."
# A day may have 10,000 rows, so a query for a year reads millions for many seconds. Without a limit, a few callers
# would occupy all of control's threads, and counting would stop.
_MAX_QUERIES = 2
_MAX_WAIT_SECONDS = 4
# A page shows what took longer than this as it was counted last, and counts again for a twentieth of the time at most.
# An answer for a year of a busy mirror takes seconds. It is the processor's time: on a busy host all answers are late.
_QUICK_SECONDS = 0.03
_REST_FACTOR = 20
_MAX_REMEMBERED = 16


class StatisticsError(Exception):
    """The statistics can't be read."""


class StatisticsBusyError(StatisticsError):
    """Too many queries at once."""


class _Counted(NamedTuple, Generic[Answer]):
    """An answer, and the processor's seconds that it took."""

    answer: Answer
    seconds: float


class _Remembered(NamedTuple):
    """A slow answer, when it was read, and how long that took."""

    answer: Any
    read_at: float
    took_seconds: float


class Statistics:
    """
    Queries to the store. Each has its own thread and connection, so none waits for another or for the intake.

    Args:
        path: the store's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free_queries = asyncio.Semaphore(_MAX_QUERIES)
        self._running: dict[MissFilter, asyncio.Task[Any]] = {}
        self._renewals = set[asyncio.Task[Any]]()
        self._remembered: dict[MissFilter, _Remembered] = {}

    async def get_downloads(self, wanted: DownloadFilter) -> Downloads:
        """
        Return download statistics.

        Raises:
            StatisticsError: the store can't be read.
        """
        return (await self._answer(wanted, lambda store: read_downloads(store, wanted))).answer

    async def get_recent_downloads(self, wanted: DownloadFilter) -> Downloads:
        """
        Return download statistics for a page: a quick answer as it is now, a slow one as it was last, at once.

        Raises:
            StatisticsError: the store can't be read.
        """
        return await self._recall(wanted, lambda store: read_downloads(store, wanted))

    async def get_recent_misses(self, wanted: MissFilter) -> Misses:
        """
        Return misses for a page, as ``get_recent_downloads`` does.

        Raises:
            StatisticsError: the store can't be read.
        """
        return await self._recall(wanted, lambda store: read_misses(store, wanted))

    async def _recall(self, wanted: MissFilter, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        last = self._remembered.get(wanted)
        if last is None:
            return await self._remember(wanted, query)
        if wanted not in self._running and time.monotonic() > last.read_at + _REST_FACTOR * last.took_seconds:
            renewal = asyncio.create_task(self._remember(wanted, query))
            self._renewals.add(renewal)
            renewal.add_done_callback(self._forget_renewal)
        answer: Answer = last.answer
        return answer

    async def _remember(self, wanted: MissFilter, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        answer, seconds = await self._answer(wanted, query)
        self._remembered.pop(wanted, None)
        if seconds >= _QUICK_SECONDS:  # quick ones, which anybody may ask for, take no slow one's place
            self._remembered[wanted] = _Remembered(answer, read_at=time.monotonic(), took_seconds=seconds)
        while len(self._remembered) > _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return answer

    def _forget_renewal(self, renewal: asyncio.Task[Any]) -> None:
        self._renewals.discard(renewal)
        if not renewal.cancelled():
            renewal.exception()  # the last answer stays; the next page tries again

    async def get_misses(self, wanted: MissFilter) -> Misses:
        """
        Return the requests that the mirror answered with 404.

        Raises:
            StatisticsError: the store can't be read.
        """
        return (await self._answer(wanted, lambda store: read_misses(store, wanted))).answer

    async def _answer(self, wanted: MissFilter, query: Callable[[sqlite3.Connection], Answer]) -> _Counted[Answer]:
        """Return the result of a query; identical concurrent requests share it."""
        if (task := self._running.get(wanted)) is None:
            task = self._running[wanted] = asyncio.create_task(self._run_in_turn(query))
            task.add_done_callback(lambda _: self._running.pop(wanted))
        counted: _Counted[Answer] = await asyncio.shield(task)
        return counted

    async def _run_in_turn(self, query: Callable[[sqlite3.Connection], Answer]) -> _Counted[Answer]:
        try:
            async with asyncio.timeout(_MAX_WAIT_SECONDS):
                await self._free_queries.acquire()
        except TimeoutError:
            raise StatisticsBusyError("too many requests for statistics") from None
        try:
            return await asyncio.to_thread(self._run_query, query)
        finally:
            self._free_queries.release()

    def _run_query(self, query: Callable[[sqlite3.Connection], Answer]) -> _Counted[Answer]:
        begun = time.thread_time()
        try:
            with closing(connect(self._path)) as store:
                store.execute("BEGIN")  # one snapshot for all queries of an answer
                return _Counted(query(store), time.thread_time() - begun)
        except (sqlite3.Error, StoreError) as error:
            raise StatisticsError(str(error)) from error


def install_handlers(app: FastAPI) -> None:
    """Turn unreadable statistics into a problem."""
    app.add_exception_handler(StatisticsError, _as_problem)


def _as_problem(_: Request, error: Exception) -> Response:
    if isinstance(error, StatisticsBusyError):
        return problem_response(429, "Too many requests for statistics; retry later.", headers={"Retry-After": "5"})
    detail = f"The download statistics can't be read ({error}); nginx still serves all files. {_REMEDY}"
    return problem_response(503, detail, headers={"Retry-After": "5"})
