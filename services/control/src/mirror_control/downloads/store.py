"""
The store of downloads and misses: SQLite in control's state directory.

``sqlite3`` is enough for one writer and four tables. SQLAlchemy would add 20 MB to a process of 256 MB, for a
portability that counts do not need.
"""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Self

from mirror_control.downloads.tally import Download, Miss, Tally

_VERSION = 2
_SCHEMA = """
CREATE TABLE download (
    day TEXT, project TEXT, version TEXT, file_type TEXT, client TEXT, client_version TEXT, count INTEGER NOT NULL,
    PRIMARY KEY (day, project, version, file_type, client, client_version)
) WITHOUT ROWID;
CREATE INDEX download_by_project ON download (project, day);
CREATE TABLE miss (
    day TEXT, project TEXT, kind TEXT, count INTEGER NOT NULL, PRIMARY KEY (day, project, kind)
) WITHOUT ROWID;
CREATE TABLE share (
    facet TEXT, day TEXT, name TEXT, count INTEGER NOT NULL, PRIMARY KEY (facet, day, name)
) WITHOUT ROWID;
-- How far a file of the access log was counted, and its first bytes.
CREATE TABLE place (file TEXT PRIMARY KEY, offset INTEGER NOT NULL, head BLOB NOT NULL) WITHOUT ROWID;
"""
# From the first version, which counted no shares.
_UPGRADE = """
CREATE TABLE share (
    facet TEXT, day TEXT, name TEXT, count INTEGER NOT NULL, PRIMARY KEY (facet, day, name)
) WITHOUT ROWID;
INSERT INTO share SELECT 'project', day, project, sum(count) FROM download GROUP BY day, project;
INSERT INTO share SELECT 'file_type', day, file_type, sum(count) FROM download GROUP BY day, file_type;
INSERT INTO share SELECT 'tool', day, client, sum(count) FROM download GROUP BY day, client;
INSERT INTO share
    SELECT 'client', day, rtrim(client || ' ' || client_version) AS name, sum(count) FROM download GROUP BY day, name;
INSERT INTO share SELECT 'python', day, '', sum(count) FROM download GROUP BY day;
"""
_BUSY_SECONDS = 5.0
# SQLite does not wait where two connections change a new file to WAL: it refuses one of them at once.
_CREATION = threading.Lock()


class StoreError(Exception):
    """The store can't be used; the message names its file and the remedy."""


class Position(NamedTuple):
    """The position up to which a file of the access log was counted."""

    offset: int
    head: bytes
    """The file's first bytes. On a new volume, another file of the same minute may have the same name."""


class Facet(StrEnum):
    """One thing by which all downloads are counted."""

    PROJECT = "project"
    FILE_TYPE = "file_type"
    TOOL = "tool"  # a client without its version
    CLIENT = "client"  # a client, a blank and its version
    PYTHON = "python"


class _Share(NamedTuple):
    """The key by which all downloads are counted for a facet."""

    facet: Facet
    day: str
    name: str


class _Table(NamedTuple):
    """The SQL of a table that counts by day and other columns."""

    limit: int
    """The most rows of a day."""
    add: str
    size: str
    fold: str
    """Deletes the smallest rows of a day and returns them without names. Adding them again keeps the totals."""
    expire: str


# A day of a thousand developers makes about a thousand rows of 90 bytes. Scanners, or mirrors that download everything,
# make more; with these limits, 400 such days take 700 MB.
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
# The same downloads by one thing at a time, so that a page of all downloads reads a tenth of the rows.
_SHARES = _Table(
    limit=10_000,
    add="INSERT INTO share VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
    size="SELECT count(*) FROM share WHERE facet IN ('project', 'client') AND day = ?",
    fold="""
        DELETE FROM share WHERE (facet, day, name) IN (
            SELECT facet, day, name FROM share
            WHERE facet IN ('project', 'client') AND day = ? AND name != '' ORDER BY count LIMIT ?
        ) RETURNING facet, day, '', count
    """,
    expire="DELETE FROM share WHERE day <= ?",
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
    Return a connection without implicit transactions; create the store if it does not exist.

    Raises:
        StoreError: the store can't be opened, or a newer control wrote it.
    """
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            with _CREATION:
                _create_tables(connection, path)
            # A log file is deleted once it is counted, so the counts must be on the disk before.
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    return connection


def _create_tables(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == _VERSION:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    with _transaction(connection):
        version = _version(connection)  # another connection may have created them meanwhile
        if version > _VERSION:
            raise StoreError(
                f"{path} was written by a newer control: start that one, or delete the file to restart the counts"
            )
        if version < _VERSION:
            for statement in (_UPGRADE if version == 1 else _SCHEMA).split(";\n"):
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
        if connection.in_transaction:  # a full disk may have rolled it back
            connection.execute("ROLLBACK")


class Store:
    """
    The counts and the positions in the log, which always change together.

    Args:
        path: the file; created if it does not exist.
        downloads: the most rows of downloads per day.
        misses: the most rows of misses per day.

    Raises:
        sqlite3.Error: from every method, if the disk is full, or the file is corrupt or locked.
    """

    def __init__(self, path: Path, *, downloads: int = _DOWNLOADS.limit, misses: int = _MISSES.limit) -> None:
        self._downloads = _DOWNLOADS._replace(limit=downloads)
        self._shares = _SHARES._replace(limit=downloads)
        self._misses = _MISSES._replace(limit=misses)
        self._connection = connect(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get_position(self, file: str) -> Position | None:
        """Return the position in a file, or None if nothing of it is counted."""
        row = self._connection.execute("SELECT offset, head FROM place WHERE file = ?", (file,)).fetchone()
        return Position(*row) if row else None

    def add(self, tally: Tally, *, file: str, position: Position) -> None:
        """Add the tally of a slice and store the new position, in one transaction."""
        with _transaction(self._connection):
            self._count(self._downloads, tally.downloads)
            self._count(self._shares, _shares_of(tally))
            self._count(self._misses, tally.misses)
            self._connection.execute("REPLACE INTO place VALUES (?, ?, ?)", (file, *position))

    def delete_positions(self, *, except_for: Iterable[str]) -> None:
        """Delete the positions of files that no longer exist."""
        existing = set(except_for)
        known = {name for (name,) in self._connection.execute("SELECT file FROM place")}
        if gone := known - existing:
            with _transaction(self._connection):
                self._connection.executemany("DELETE FROM place WHERE file = ?", [(name,) for name in gone])

    def expire(self, *, today: date, kept: timedelta) -> None:
        """Delete the counts of days that are too old."""
        oldest = today - kept
        with _transaction(self._connection):
            for table in (self._downloads, self._shares, self._misses):
                self._connection.execute(table.expire, (oldest.isoformat(),))

    def _count(self, table: _Table, counts: Mapping[Download, int] | Mapping[_Share, int] | Mapping[Miss, int]) -> None:
        self._connection.executemany(table.add, [(*key, count) for key, count in counts.items()])
        for day in {key.day for key in counts}:
            (size,) = self._connection.execute(table.size, (day,)).fetchone()
            if size > table.limit:
                folded = self._connection.execute(table.fold, (day, size - table.limit)).fetchall()
                self._connection.executemany(table.add, folded)


def _shares_of(tally: Tally) -> Counter[_Share]:
    shares = Counter[_Share]()
    for (day, python), count in tally.pythons.items():
        shares[_Share(Facet.PYTHON, day, python)] += count
    for key, count in tally.downloads.items():
        shares[_Share(Facet.PROJECT, key.day, key.project)] += count
        shares[_Share(Facet.FILE_TYPE, key.day, key.file_type)] += count
        shares[_Share(Facet.TOOL, key.day, key.client)] += count
        shares[_Share(Facet.CLIENT, key.day, f"{key.client} {key.client_version}".rstrip())] += count
    return shares
