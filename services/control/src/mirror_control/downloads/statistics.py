"""The counts as the API tells them."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response

from mirror_control.client.download_shapes import (
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

_SHOWN = timedelta(days=29)
_REMEDY = "Look at `docker compose logs control`, and at the room that Docker's disk has left."


# A day may have 10,000 rows, so a question about a year looks at millions for many seconds. Without a bound a few
# callers would hold all of control's threads, and nothing would be counted meanwhile.
_QUESTIONS_AT_ONCE = 2
_PATIENCE_SECONDS = 4


class StatisticsError(Exception):
    """The statistics can't be read."""


class StatisticsBusyError(StatisticsError):
    """Too many ask at once."""


class Statistics:
    """
    Questions to the store, each in a thread and by a connection of its own: none waits for another, or for the intake.

    Args:
        path: the store's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Semaphore(_QUESTIONS_AT_ONCE)
        self._asked: dict[MissFilter, asyncio.Task[Any]] = {}

    async def downloads(self, wanted: DownloadFilter) -> Downloads:
        """
        Return what was downloaded.

        Raises:
            StatisticsError: the store can't be read.
        """
        return await self._answer(wanted, lambda store: _downloads(store, wanted))

    async def misses(self, wanted: MissFilter) -> Misses:
        """
        Return what was asked for and is not here.

        Raises:
            StatisticsError: the store can't be read.
        """
        return await self._answer(wanted, lambda store: _misses(store, wanted))

    async def _answer(self, wanted: MissFilter, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Return a question's answer; who asks the same meanwhile gets it, too."""
        if (task := self._asked.get(wanted)) is None:
            task = self._asked[wanted] = asyncio.create_task(self._ask_in_turn(question))
            task.add_done_callback(lambda _: self._asked.pop(wanted))
        answer: Answer = await asyncio.shield(task)
        return answer

    async def _ask_in_turn(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise StatisticsBusyError("too many ask at once") from None
        try:
            return await asyncio.to_thread(self._ask, question)
        finally:
            self._turn.release()

    def _ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            with closing(connect(self._path)) as store:
                store.execute("BEGIN")  # one state for all parts of the answer
                return question(store)
        except (sqlite3.Error, StoreError) as error:
            raise StatisticsError(str(error)) from error


def _downloads(store: sqlite3.Connection, wanted: DownloadFilter) -> Downloads:
    since, until = _window(wanted)
    where, values = "day >= ?", [since.isoformat()]
    if wanted.project is not None:
        where, values = f"{where} AND project = ?", [*values, wanted.project]

    def top(*columns: str, where: str = where) -> Sequence[tuple[str, ...]]:
        names = ", ".join(columns)
        return store.execute(
            f"SELECT {names}, sum(count) AS downloads FROM download WHERE {where}"  # noqa: S608 the names are our own
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
        # What was folded has no project.
        projects=shares("project", where=f"{where} AND project != ''") if wanted.project is None else None,
        versions=None if wanted.project is None else shares("version"),
        file_types=shares("file_type"),
        clients=[
            ClientShare(name=name, version=version, downloads=count)
            for name, version, count in top("client", "client_version")
        ],
    )


def _misses(store: sqlite3.Connection, wanted: MissFilter) -> Misses:
    since, until = _window(wanted)
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


def _window(wanted: MissFilter) -> tuple[date, date]:
    today = datetime.now(UTC).date()
    return wanted.since or today - _SHOWN, today


def install(app: FastAPI) -> None:
    """Turn statistics that can't be read into a problem."""
    app.add_exception_handler(StatisticsError, _as_problem)


def _as_problem(_: Request, error: Exception) -> Response:
    if isinstance(error, StatisticsBusyError):
        return problem_response(429, "Too many ask for statistics at once.", headers={"Retry-After": "5"})
    told = f"The download statistics can't be read ({error}); files are served all the same. {_REMEDY}"
    return problem_response(503, told, headers={"Retry-After": "5"})
