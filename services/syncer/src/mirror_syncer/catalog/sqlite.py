"""SQLite's own ways: one writer, a write-ahead log, and errors of the disk of MIRROR_STATE."""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mirror_syncer.catalog.new_rows import indexes_afterwards, insert_listed, make_indexes
from mirror_syncer.catalog.state_disk import explain_state_disk_errors
from mirror_syncer.errors import StateError

__all__ = [
    "KEPT_PAGE_INDEX",
    "Durability",
    "add_changed_totals",
    "create_engine",
    "cursor",
    "indexes_afterwards",
    "insert_listed",
    "lock_schema",
    "opening_remedy",
    "read_changed_totals",
    "repair_schema",
]

KEPT_PAGE_INDEX = "INDEXED BY kept_page_digest"
"""SQLite would take the key's index, and read each row from its start, through its body."""

_BUSY_SECONDS = 10
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on the disk of MIRROR_STATE",
    sqlite3.SQLITE_IOERR: "check the kernel log, and whether the disk of MIRROR_STATE is full or failing",
    sqlite3.SQLITE_READONLY: "mount the disk of MIRROR_STATE read-write, and give {user} write permission",
}


def create_engine(url: sa.URL, _: Path | None) -> sa.Engine:
    """Return an engine whose disk errors are translated into ``StateError``."""
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "handle_error", _explain_error)
    return engine


def opening_remedy(_: sa.URL) -> str:
    """Return what to check if a catalog cannot be opened."""
    return (
        "check that MIRROR_STATE is a writable directory on a local disk, and that no newer version wrote the catalog"
    )


def lock_schema(connection: sa.Connection) -> None:
    """Begin a transaction: the driver starts none for DDL, and a kill between two statements would leave half of it."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def repair_schema(engine: sa.Engine) -> None:
    """Make the indexes that an interrupted first list left out."""
    make_indexes(engine)


class Durability:
    """
    The write-ahead log on the disk.

    Args:
        engine: of the database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._log = f"{engine.url.database}-wal"

    def sync(self) -> bool:
        """
        Write the log to the disk; nothing is lost while the host runs.

        Raises:
            StateError: the disk failed.
        """
        with (
            explain_state_disk_errors(self._log),
            suppress(FileNotFoundError),
        ):  # a checkpoint moved it into the database, which is synced
            descriptor = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return True

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def cursor(connection: sa.Connection, *, streaming: bool = False) -> Iterator[Any]:  # noqa: ARG001 - it always streams
    """Open the driver's cursor."""
    with closing(connection.connection.cursor()) as opened:
        try:
            yield opened
        except sqlite3.Error as error:
            _explain(error)
            raise


def add_changed_totals(_: sa.Connection) -> None:
    """Add nothing: the triggers do."""


def read_changed_totals(_: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return nothing, as above."""
    return ()


def _explain_error(context: sa.ExceptionContext) -> None:
    _explain(context.original_exception)


def _explain(error: BaseException) -> None:
    """
    Translate an error of the disk.

    Raises:
        StateError: it is one. Errors of one row or of the schema pass unchanged.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes add the failed call in the higher bits
    if remedy := _REMEDIES.get(code):
        user = f"{os.getuid()}:{os.getgid()}"
        raise StateError(f"the catalog cannot be written: {error}; {remedy.format(user=user)}") from error


def _prepare(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's record
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    _use_wal(connection)
    # WAL: readers never wait for the writer. NORMAL: a power cut may lose the newest commits, but never part of one; a
    # project whose row is older than its page is requested again, and nothing else.
    connection.execute("PRAGMA synchronous = NORMAL")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Change the file to WAL. Where two connections do so to a new file, SQLite refuses one at once, so try again."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
