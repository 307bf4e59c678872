"""Insert-or-replace statements for SQLite and PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import sqlalchemy as sa

_BATCH_ROWS = 500  # per statement: SQLite limits its parameters

Change = tuple[str, Callable[[Any], sa.ColumnElement[Any]]]
"""A column of an existing row, and a function from the new row's columns to its value."""


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    *,
    changes: tuple[Change, ...] = (),
) -> None:
    """
    Insert rows with the same columns, or replace existing ones; other columns stay unchanged.

    Args:
        changes: columns of existing rows that get another value than the new row's.
    """
    if not rows:
        return
    statement = _statement(connection.dialect.name, table, frozenset(rows[0]), changes)
    for some in _without_repetition(rows, [column.name for column in table.primary_key]):
        connection.execute(statement, some)


def _without_repetition(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield rows in batches, none of which has a key twice: PostgreSQL changes a row only once in a statement."""
    batch: list[dict[str, Any]] = []
    seen = set[tuple[Any, ...]]()
    for row in rows:
        key = tuple(row[name] for name in keys)
        if key in seen or len(batch) == _BATCH_ROWS:
            yield batch
            batch, seen = [], set()
        batch.append(row)
        seen.add(key)
    yield batch


def insertion(dialect: str, table: sa.Table) -> Any:  # noqa: ANN401 - one of two classes that share a shape
    """Return an insert statement that supports ``on_conflict_do_update``, by the name of a dialect."""
    # Importing a dialect takes 0.02 s, and only one is needed.
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)


@lru_cache(maxsize=32)  # making a statement takes 0.15 ms, as long as a dozen rows of it
def _statement(dialect: str, table: sa.Table, columns: frozenset[str], changes: tuple[Change, ...]) -> sa.Insert:
    keys = {column.name for column in table.primary_key}
    insert = insertion(dialect, table)
    replaced: dict[str, Any] = {
        column.name: insert.excluded[column.name] for column in table.columns if column.name in columns - keys
    }
    replaced |= {name: change(insert.excluded) for name, change in changes}
    statement: sa.Insert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)
    return statement
