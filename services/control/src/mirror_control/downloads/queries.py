"""The queries of download statistics and misses."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

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
from mirror_control.downloads.client import MIRRORS
from mirror_control.downloads.store import Facet

_DEFAULT_PERIOD = timedelta(days=29)


def read_downloads(store: sqlite3.Connection, wanted: DownloadFilter) -> Downloads:
    """Return the downloads of all projects, or of one."""
    return _read_all(store, wanted) if wanted.project is None else _read_project(store, wanted, wanted.project)


def read_misses(store: sqlite3.Connection, wanted: MissFilter) -> Misses:
    """Return the requests that the mirror answered with 404."""
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


def _read_all(store: sqlite3.Connection, wanted: DownloadFilter) -> Downloads:
    """Return the downloads of all projects, from their sums for each facet."""
    since, until = _period(wanted)

    def shares(facet: Facet, where: str = "true") -> list[Share]:
        rows = store.execute(
            f"SELECT name, sum(count) AS downloads FROM share WHERE facet = ? AND day >= ? AND {where}"  # noqa: S608 constants
            " GROUP BY name ORDER BY downloads DESC, name LIMIT ?",
            [facet, since.isoformat(), wanted.top],
        )
        return [Share(name=name, downloads=count) for name, count in rows]

    days = _days(
        store.execute(
            "SELECT day, name, count FROM share WHERE facet = ? AND day >= ? ORDER BY day",
            [Facet.TOOL, since.isoformat()],
        ).fetchall()
    )
    clients = [(*share.name.partition(" ")[::2], share.downloads) for share in shares(Facet.CLIENT)]
    return Downloads(
        since=since,
        until=until,
        downloads=sum(day.downloads for day in days),
        mirrors=sum(day.mirrors for day in days),
        days=days,
        # Aggregated rows have no project.
        projects=shares(Facet.PROJECT, where="name != ''"),
        file_types=shares(Facet.FILE_TYPE),
        clients=[_client(name, version, count) for name, version, count in clients],
        pythons=shares(Facet.PYTHON),
    )


def _read_project(store: sqlite3.Connection, wanted: DownloadFilter, project: str) -> Downloads:
    since, until = _period(wanted)
    values = [since.isoformat(), project]

    def top(columns: str) -> Sequence[tuple[str, ...]]:
        return store.execute(
            f"SELECT {columns}, sum(count) AS downloads FROM download WHERE day >= ? AND project = ?"  # noqa: S608 constants
            f" GROUP BY {columns} ORDER BY downloads DESC, {columns} LIMIT ?",
            [*values, wanted.top],
        ).fetchall()

    def shares(column: str) -> list[Share]:
        return [Share(name=name, downloads=int(count)) for name, count in top(column)]

    by_day = "SELECT day, client, sum(count) FROM download WHERE day >= ? AND project = ? GROUP BY day, client"
    days = _days(store.execute(by_day, values).fetchall())
    return Downloads(
        since=since,
        until=until,
        project=project,
        downloads=sum(day.downloads for day in days),
        mirrors=sum(day.mirrors for day in days),
        days=days,
        versions=shares("version"),
        file_types=shares("file_type"),
        clients=[_client(name, version, int(count)) for name, version, count in top("client, client_version")],
    )


def _days(rows: Sequence[tuple[str, str, int]]) -> list[Day]:
    """Return the downloads of each day, from those of each client."""
    downloads, mirrors = Counter[str](), Counter[str]()
    for day, client, count in rows:
        downloads[day] += count
        mirrors[day] += count if client in MIRRORS else 0
    return [
        Day(day=date.fromisoformat(day), downloads=count, mirrors=mirrors[day])
        for day, count in sorted(downloads.items())
    ]


def _client(name: str, version: str, downloads: int) -> ClientShare:
    return ClientShare(name=name or "other", version=version, downloads=downloads, mirror=name in MIRRORS)


def _period(wanted: MissFilter) -> tuple[date, date]:
    today = _today()
    return wanted.since or today - _DEFAULT_PERIOD, today


def _today() -> date:
    return datetime.now(UTC).date()
