"""What distributions require, as their metadata says, so that it is read only once."""

from collections.abc import Iterable, Mapping
from typing import NewType

import msgspec
import sqlalchemy as sa

from mirror_syncer.catalog.batches import batched
from mirror_syncer.catalog.schema import requirement_lines
from mirror_syncer.catalog.upsert import upsert
from mirror_syncer.model.names import Sha256
from mirror_syncer.model.page import File
from mirror_syncer.model.requirement_lines import RequirementLines

LinesKey = NewType("LinesKey", str)
"""
The digest of a distribution's metadata or of its file, with a prefix that says how content of that digest was read.

Without the prefix, an upstream could plant lines for another project's wheel: it would serve that wheel as the
``.metadata`` of its own, or as a source distribution.
"""

_UNVERIFIED = "unverified:"
_DAY_SECONDS = 86_400
_MAX_UNUSED_SECONDS = 180 * _DAY_SECONDS
_DEFAULTS = msgspec.to_builtins(RequirementLines())
_lines = msgspec.json.Decoder(RequirementLines)


def metadata_key(digest: Sha256) -> LinesKey:
    """Return the key of lines whose metadata has this digest."""
    return LinesKey(f"metadata:{digest}")


def file_key(file: File) -> LinesKey:
    """Return the key of lines that were read out of a whole file; the ending of its name decides how."""
    ending = file.filename.lower().rpartition(".")[2]
    return LinesKey(f"{ending}:{file.sha256}")


def unverified_key(file: File) -> LinesKey:
    """Return the key of lines that were read out of a part of a file, whose digest could not be checked."""
    return LinesKey(f"{_UNVERIFIED}{file_key(file)}")


class StoredRequirementLines:
    """The table of requirement lines."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, keys: Iterable[LinesKey], *, now: int | None) -> dict[LinesKey, RequirementLines]:
        """
        Return the stored lines of these keys; unreadable ones count as missing.

        Args:
            now: notes that they are used, in seconds since the epoch; None: nothing is written.
        """
        found, unnoted = dict[LinesKey, RequirementLines](), list[LinesKey]()
        columns = requirement_lines.c
        with self._engine.connect() as connection:
            for some in batched(keys):
                query = sa.select(columns.key, columns.used_at, columns.lines).where(columns.key.in_(some))
                for key, used_at, text in connection.execute(query):
                    if (lines := _decode(text)) is None:
                        continue
                    found[LinesKey(key)] = lines
                    if now is not None and used_at <= now - _DAY_SECONDS:
                        unnoted.append(LinesKey(key))
        if unnoted:
            with self._engine.begin() as connection:
                for some in batched(unnoted):
                    used = requirement_lines.update().where(columns.key.in_(some)).values(used_at=now)
                    connection.execute(used)
        return found

    def put(self, lines: Mapping[LinesKey, RequirementLines], *, now: int) -> None:
        """Store lines by their keys."""
        rows = [{"key": key, "used_at": now, "lines": _encode(one)} for key, one in lines.items()]
        if rows:
            with self._engine.begin() as connection:
                upsert(connection, requirement_lines, rows)

    def forget_unused(self, *, now: int) -> int:
        """Delete what has not been used for 180 days, and return how many rows that was."""
        unused = requirement_lines.delete().where(requirement_lines.c.used_at < now - _MAX_UNUSED_SECONDS)
        with self._engine.begin() as connection:
            return connection.execute(unused).rowcount

    def forget_unverified(self, connection: sa.Connection) -> None:
        """Delete what only the word of an upstream vouches for."""
        key = requirement_lines.c.key
        connection.execute(requirement_lines.delete().where(key >= _UNVERIFIED, key < f"{_UNVERIFIED}\x7f"))


def _encode(lines: RequirementLines) -> str:
    """Return lines as JSON without default values: most distributions require nothing."""
    fields = msgspec.to_builtins(lines)
    return msgspec.json.encode({name: one for name, one in fields.items() if one != _DEFAULTS[name]}).decode()


def _decode(text: str) -> RequirementLines | None:
    try:
        return _lines.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
