"""
Where downloads and misses are kept: SQLite in control's state directory.

Plain ``sqlite3``: one writer, three tables and no other database in sight. SQLAlchemy would add 20 MB to a process of
256 MB for a portability that a tally does not need.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from mirror_control.downloads.tally import Download, Miss, Tally

_VERSION = 1
_SCHEMA = """
CREATE TABLE download (
    day TEXT, project TEXT, version TEXT, file_type TEXT, client TEXT, client_version TEXT, count INTEGER NOT NULL,
    PRIMARY KEY (day, project, version, file_type, client, client_version)
) WITHOUT ROWID;
CREATE INDEX download_by_project ON download (project, day);
CREATE TABLE miss (
    day TEXT, project TEXT, kind TEXT, count INTEGER NOT NULL, PRIMARY KEY (day, project, kind)
) WITHOUT ROWID;
-- How far a file of the access log was counted, and what it begins with.
CREATE TABLE place (file TEXT PRIMARY KEY, offset INTEGER NOT NULL, head BLOB NOT NULL) WITHOUT ROWID;
"""
_BUSY_SECONDS = 5.0


class StoreError(Exception):
    """The store can't be used; the message names its file and the remedy."""


class Place(NamedTuple):
    """How far a file of the access log was counted."""

    offset: int
    head: bytes
    """What it begins with: the name alone could be that of another file of the same minute, on a new volume."""


class _Table(NamedTuple):
    """Counts by day and what else is counted by."""

    limit: int
    """Rows that a day may have."""
    add: str
    size: str
    fold: str
    """Removes the smallest rows of a day, and returns them without names: added again, the sums are what they were."""
    expire: str


# A day of a thousand developers has some thousand rows of 90 bytes. The limits bound what a scanner, or another mirror
# that fetches everything, leaves behind: 400 days of that are 500 MB.
_DOWNLOADS = _Table(
    limit=10_000,
    add="INSERT INTO download VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
    size="SELECT count(*) FROM download WHERE day = ?",
    fold="""
        DELETE FROM download WHERE (day, project, version, file_type, client, client_version) IN (
            SELECT day, project, version, file_type, client, client_version FROM download
            WHERE day = ? AND project != '' ORDER BY count LIMIT ?
        ) RETURNING day, '', '', file_type, client, '', count
    """,
    expire="DELETE FROM download WHERE day <= ?",
)
_MISSES = _Table(
    limit=1_000,
    add="INSERT INTO miss VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
    size="SELECT count(*) FROM miss WHERE day = ?",
    fold="""
        DELETE FROM miss WHERE (day, project, kind) IN (
            SELECT day, project, kind FROM miss WHERE day = ? AND project != '' ORDER BY count LIMIT ?
        ) RETURNING day, '', kind, count
    """,
    expire="DELETE FROM miss WHERE day <= ?",
)


def connect(path: Path) -> sqlite3.Connection:
    """
    Return a connection without transactions of its own, to a store that is made if there is none.

    Raises:
        StoreError: there is none to be had, or it is that of a newer control.
    """
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _make(connection, path)
            # A file of the log is removed once it is counted, so that has to be on the disk.
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    return connection


def _make(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == _VERSION:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    with _transaction(connection):
        version = _version(connection)  # somebody may have been faster
        if version > _VERSION:
            raise StoreError(f"{path} is a newer control's: start that one, or remove the file to count anew")
        if version < _VERSION:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # a full disk may have ended it
            connection.execute("ROLLBACK")


class Store:
    """
    The counts, and how far the log was counted: always both, or neither.

    Args:
        path: its file; made if it is not there.
        downloads: how many rows of downloads a day may have.
        misses: the same, of misses.

    Raises:
        sqlite3.Error: from every method, when the disk is full, the file damaged or held by somebody else.
    """

    def __init__(self, path: Path, *, downloads: int = _DOWNLOADS.limit, misses: int = _MISSES.limit) -> None:
        self._downloads = _DOWNLOADS._replace(limit=downloads)
        self._misses = _MISSES._replace(limit=misses)
        self._connection = connect(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def place(self, file: str) -> Place | None:
        """Return how far a file was counted; None if nothing of it was."""
        row = self._connection.execute("SELECT offset, head FROM place WHERE file = ?", (file,)).fetchone()
        return Place(*row) if row else None

    def add(self, tally: Tally, *, file: str, place: Place) -> None:
        """Add what a slice of a file holds, and remember that it was counted, in one transaction."""
        with _transaction(self._connection):
            self._count(self._downloads, tally.downloads)
            self._count(self._misses, tally.misses)
            self._connection.execute("REPLACE INTO place VALUES (?, ?, ?)", (file, *place))

    def forget(self, *, but: Iterable[str]) -> None:
        """Forget the places of files that are gone."""
        there = set(but)
        known = {name for (name,) in self._connection.execute("SELECT file FROM place")}
        if gone := known - there:
            with _transaction(self._connection):
                self._connection.executemany("DELETE FROM place WHERE file = ?", [(name,) for name in gone])

    def expire(self, *, today: date, kept: timedelta) -> None:
        """Remove the days that are older than what is kept."""
        oldest = today - kept
        with _transaction(self._connection):
            for table in (self._downloads, self._misses):
                self._connection.execute(table.expire, (oldest.isoformat(),))

    def _count(self, table: _Table, counts: Mapping[Download, int] | Mapping[Miss, int]) -> None:
        self._connection.executemany(table.add, [(*key, count) for key, count in counts.items()])
        for day in {key.day for key in counts}:
            (size,) = self._connection.execute(table.size, (day,)).fetchone()
            if size > table.limit:
                folded = self._connection.execute(table.fold, (day, size - table.limit)).fetchall()
                self._connection.executemany(table.add, folded)
