"""The last good advisories, kept over restarts with the whole text of each record."""

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec
from isal import isal_zlib

FILE = "advisories.sqlite"
_COMPRESSION = 1  # of isal's four levels; JSON shrinks to a fifth
_SCHEMA = """
CREATE TABLE meta (document BLOB NOT NULL);
CREATE TABLE record (id TEXT PRIMARY KEY, content BLOB NOT NULL);
"""


class Meta(msgspec.Struct, frozen=True):
    """What is known of the last good advisories as a whole."""

    source: str
    """The path or URL that they came from."""
    records: int
    newest_modified: datetime | None = None
    etag: str | None = None
    last_modified: str | None = None


class StoreWriter:
    """Writes records beside the last good ones, which they replace if they are accepted."""

    def __init__(self, path: Path) -> None:
        self._final = path
        self._path = path.with_name(f"{path.name}.new")
        self._remove()
        self._error: sqlite3.Error | None = None
        self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        # Nothing reads it before it is whole and durable.
        self._database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_SCHEMA} BEGIN;")

    def add(self, record_id: str, content: bytes) -> None:
        """Write a record; it replaces one with the same id. A failure of the disk is raised by ``accept``."""
        if self._error is not None:
            return
        compressed = isal_zlib.compress(content, _COMPRESSION)
        try:
            self._database.execute("INSERT OR REPLACE INTO record VALUES (?, ?)", (record_id, compressed))
        except sqlite3.Error as error:
            self._error = error

    def accept(self, meta: Meta) -> None:
        """
        Replace the last good records.

        Raises:
            sqlite3.Error, OSError: the disk failed.
        """
        if self._error is not None:
            raise self._error
        self._database.execute("INSERT INTO meta VALUES (?)", (msgspec.json.encode(meta),))
        self._database.execute("COMMIT")
        self._database.close()
        _sync(self._path)
        self._path.replace(self._final)
        _sync(self._final.parent)

    def close(self) -> None:
        """Release everything; records that were not accepted are removed."""
        self._database.close()
        self._remove()

    def _remove(self) -> None:
        for suffix in ("", "-journal"):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()


class Store:
    """
    The last good records, read.

    Args:
        path: of the file; it is opened for each call, so that another process may replace it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def in_directory(cls, state: Path) -> Self:
        """Return the store in a state directory."""
        return cls(state / FILE)

    @property
    def exists(self) -> bool:
        """Whether there are last good records."""
        return self.path.exists()

    def meta(self) -> Meta | None:
        """Return what is known of the records as a whole; None if there are none, or they cannot be read."""
        for (document,) in self._select("SELECT document FROM meta"):
            with suppress(msgspec.MsgspecError):
                return msgspec.json.decode(document, type=Meta)
        return None

    def contents(self) -> Iterator[bytes]:
        """Yield all records as their source gave them."""
        for (compressed,) in self._select("SELECT content FROM record ORDER BY id"):
            if (content := _decompress(compressed)) is not None:
                yield content

    def get(self, record_id: str) -> bytes | None:
        """Return a record as its source gave it."""
        return self.get_several([record_id]).get(record_id)

    def get_several(self, ids: list[str]) -> dict[str, bytes]:
        """Return records as their source gave them, by id; unknown ones are missing."""
        query = "SELECT id, content FROM record WHERE id IN (SELECT value FROM json_each(?))"
        rows = self._select(query, msgspec.json.encode(ids).decode())
        contents = ((record_id, _decompress(compressed)) for record_id, compressed in rows)
        return {record_id: content for record_id, content in contents if content is not None}

    def _select(self, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows; none if the file is missing, damaged or of another version."""
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as database,
        ):
            yield from database.execute(query, values)


def _decompress(compressed: object) -> bytes | None:
    """Return a content; None if the disk changed it."""
    try:
        return zlib.decompress(compressed) if isinstance(compressed, bytes) else None
    except zlib.error:
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
