"""Download statistics and misses, as the API returns them."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response

from mirror_control.client.download_schemas import (
    ClientShare,
    Day,
    DownloadFilter,
    Downloads,
    MissedProject,
    Misses,
    MissFilter,
    Share,
)
from mirror_control.downloads.store import StoreError, connect
from mirror_control.problems import problem_response

Answer = TypeVar("Answer")

_DEFAULT_PERIOD = timedelta(days=29)
_REMEDY = "Check `docker compose logs control` and the free space on Docker's disk."
# A day may have 10,000 rows, so a query for a year reads millions for many seconds. Without a limit, a few callers
# would occupy all of control's threads, and counting would stop.
_MAX_QUERIES = 2
_MAX_WAIT_SECONDS = 4


class StatisticsError(Exception):
    """The statistics can't be read."""


class StatisticsBusyError(StatisticsError):
    """Too many queries at once."""


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

    async def get_downloads(self, wanted: DownloadFilter) -> Downloads:
        """
        Return download statistics.

        Raises:
            StatisticsError: the store can't be read.
        """
        return await self._answer(wanted, lambda store: _downloads(store, wanted))

    async def get_misses(self, wanted: MissFilter) -> Misses:
        """
        Return the requests that the mirror answered with 404.

        Raises:
            StatisticsError: the store can't be read.
        """
        return await self._answer(wanted, lambda store: _misses(store, wanted))

    async def _answer(self, wanted: MissFilter, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Return the result of a query; identical concurrent requests share it."""
        if (task := self._running.get(wanted)) is None:
            task = self._running[wanted] = asyncio.create_task(self._run_in_turn(query))
            task.add_done_callback(lambda _: self._running.pop(wanted))
        answer: Answer = await asyncio.shield(task)
        return answer

    async def _run_in_turn(self, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            async with asyncio.timeout(_MAX_WAIT_SECONDS):
                await self._free_queries.acquire()
        except TimeoutError:
            raise StatisticsBusyError("too many requests for statistics") from None
        try:
            return await asyncio.to_thread(self._run_query, query)
        finally:
            self._free_queries.release()

    def _run_query(self, query: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            with closing(connect(self._path)) as store:
                store.execute("BEGIN")  # one snapshot for all queries of an answer
                return query(store)
        except (sqlite3.Error, StoreError) as error:
            raise StatisticsError(str(error)) from error


def _downloads(store: sqlite3.Connection, wanted: DownloadFilter) -> Downloads:
    since, until = _period(wanted)
    where, values = "day >= ?", [since.isoformat()]
    if wanted.project is not None:
        where, values = f"{where} AND project = ?", [*values, wanted.project]

    def top(*columns: str, where: str = where) -> Sequence[tuple[str, ...]]:
        names = ", ".join(columns)
        return store.execute(
            f"SELECT {names}, sum(count) AS downloads FROM download WHERE {where}"  # noqa: S608 the names are constants
            f" GROUP BY {names} ORDER BY downloads DESC, {names} LIMIT ?",
            [*values, wanted.top],
        ).fetchall()

    def shares(column: str, where: str = where) -> list[Share]:
        return [Share(name=name, downloads=count) for name, count in top(column, where=where)]

    by_day = f"SELECT day, sum(count) FROM download WHERE {where} GROUP BY day ORDER BY day"  # noqa: S608
    days = [Day(day=date.fromisoformat(day), downloads=count) for day, count in store.execute(by_day, values)]
    return Downloads(
        since=since,
        until=until,
        project=wanted.project,
        downloads=sum(day.downloads for day in days),
        days=days,
        # Aggregated rows have no project.
        projects=shares("project", where=f"{where} AND project != ''") if wanted.project is None else None,
        versions=None if wanted.project is None else shares("version"),
        file_types=shares("file_type"),
        clients=[
            ClientShare(name=name, version=version, downloads=count)
            for name, version, count in top("client", "client_version")
        ],
    )


def _misses(store: sqlite3.Connection, wanted: MissFilter) -> Misses:
    since, until = _period(wanted)
    (total,) = store.execute("SELECT total(count) FROM miss WHERE day >= ?", [since.isoformat()]).fetchone()
    rows = store.execute(
        "SELECT project, sum(count) AS requests, sum(count) FILTER (WHERE kind = 'page'), max(day) FROM miss"
        " WHERE day >= ? AND project != '' GROUP BY project ORDER BY requests DESC, project LIMIT ?",
        [since.isoformat(), wanted.top],
    )
    found = [
        MissedProject(
            name=name,
            requests=requests,
            pages=pages or 0,
            files=requests - (pages or 0),
            last_day=date.fromisoformat(last),
        )
        for name, requests, pages, last in rows
    ]
    return Misses(since=since, until=until, requests=int(total), projects=found)


def _period(wanted: MissFilter) -> tuple[date, date]:
    today = _today()
    return wanted.since or today - _DEFAULT_PERIOD, today


def _today() -> date:
    return datetime.now(UTC).date()


def install_handlers(app: FastAPI) -> None:
    """Turn unreadable statistics into a problem."""
    app.add_exception_handler(StatisticsError, _as_problem)


def _as_problem(_: Request, error: Exception) -> Response:
    if isinstance(error, StatisticsBusyError):
        return problem_response(429, "Too many requests for statistics; retry later.", headers={"Retry-After": "5"})
    detail = f"The download statistics can't be read ({error}); nginx still serves all files. {_REMEDY}"
    return problem_response(503, detail, headers={"Retry-After": "5"})
