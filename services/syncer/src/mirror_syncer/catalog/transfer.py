"""The transfer of a whole catalog into an empty database, between SQLite and PostgreSQL."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from mirror_syncer.catalog.backend import backend_of
from mirror_syncer.catalog.facts import Fact
from mirror_syncer.catalog.schema import about, metadata, project_total, project_total_change
from mirror_syncer.errors import MirrorError

_BATCH_ROWS = 2_000
_DERIVED = (project_total, project_total_change)
"""Tables that the target's triggers fill."""


class TableDigest:
    """The number of a table's rows, and a digest of their content in the order of the key."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.sha256()

    def add(self, row: Sequence[Any]) -> None:
        """Add a row: equal values are equal on both databases."""
        self.rows += 1
        values = [one.hex() if isinstance(one, bytes) else one for one in row]
        self._digest.update(json.dumps(values, separators=(",", ":")).encode())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableDigest) and (self.rows, self.hex) == (other.rows, other.hex)

    __hash__ = None  # type: ignore[assignment]

    @property
    def hex(self) -> str:
        """The digest."""
        return self._digest.hexdigest()


def transfer(source: sa.Engine, target: sa.Engine, *, progress: Callable[[str, int], None]) -> int:
    """
    Copy all rows in one transaction, read them again and compare them; return their number.

    Nothing is left in the target if it fails or is interrupted.

    Args:
        source: no process may write to it.
        target: an empty catalog with the current schema.
        progress: is called with the name of each table and the number of its rows so far.

    Raises:
        MirrorError: the target is not empty, or does not have the same rows afterwards.
        StateError: a disk or a server failed.
    """
    total = 0
    with source.connect() as reading, target.begin() as writing:
        backend_of(writing).lock_schema(writing)
        _refuse_used(writing)
        writing.execute(about.delete())  # the id of the new, empty catalog
        for table in _tables():
            read = _copy(table, reading, writing, progress=progress)
            stored = TableDigest()
            for rows in _rows(table, writing):
                for row in rows:
                    stored.add(row)
            if stored != read:
                raise MirrorError(
                    f"after the copy, the table {table.name} has {stored.rows} rows with digest {stored.hex}, "
                    f"instead of {read.rows} with {read.hex}; nothing was changed"
                )
            total += read.rows
        backend_of(writing).add_changed_totals(writing)
    durability = backend_of(target).Durability(target)
    durability.sync()
    durability.close()
    return total


def _tables() -> list[sa.Table]:
    return [table for table in metadata.sorted_tables if table not in _DERIVED]


def _copy(
    table: sa.Table, reading: sa.Connection, writing: sa.Connection, *, progress: Callable[[str, int], None]
) -> TableDigest:
    digest = TableDigest()
    insert, names = table.insert(), [column.name for column in table.columns]
    for rows in _rows(table, reading):
        copied = [[_storable(value) for value in row] for row in rows]
        for row in copied:
            digest.add(row)
        writing.execute(insert, [dict(zip(names, row, strict=True)) for row in copied])
        progress(table.name, digest.rows)
    return digest


def _storable(value: object) -> object:
    """Return a value that both databases can store: PostgreSQL has no NUL in texts."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _rows(table: sa.Table, connection: sa.Connection) -> Iterator[list[sa.Row[Any]]]:
    """Yield a table's rows by its key, in batches; each is a query of its own, so that none has to be kept open."""
    keys = list(table.primary_key)
    query = sa.select(table).order_by(*keys).limit(_BATCH_ROWS)
    after: tuple[Any, ...] | None = None
    while True:
        condition = sa.true() if after is None else sa.tuple_(*keys) > sa.tuple_(*after)
        rows = list(connection.execute(query.where(condition)))
        if rows:
            yield rows
        if len(rows) < _BATCH_ROWS:
            return
        last = dict(zip(table.columns, rows[-1], strict=True))
        after = tuple(last[key] for key in keys)


def _refuse_used(connection: sa.Connection) -> None:
    used = [
        table.name
        for table in _tables()
        if table is not about and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
    ]
    facts = set(connection.scalars(sa.select(about.c.key))) - {Fact.MIRROR_ID}
    if used or facts:
        raise MirrorError(
            f"the target already has rows ({', '.join(used or sorted(facts))}); migrate-catalog fills only an empty one"
        )
