"""Insert-or-replace statements for SQLite and PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import sqlalchemy as sa

_BATCH_ROWS = 500  # per statement: SQLite limits its parameters


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    *,
    changes: Mapping[str, Callable[[Any], sa.ColumnElement[Any]]] | None = None,
) -> None:
    """
    Insert rows with the same columns, or replace existing ones; other columns stay unchanged.

    Args:
        changes: for columns of existing rows, a function from the new row's columns to an expression; by default the
            new row's value.
    """
    if not rows:
        return
    keys = {column.name for column in table.primary_key}
    insert = insertion(connection.dialect, table)
    replaced: dict[str, Any] = {
        column.name: insert.excluded[column.name] for column in table.columns if column.name in rows[0].keys() - keys
    }
    replaced |= {name: change(insert.excluded) for name, change in (changes or {}).items()}
    statement = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)
    for start in range(0, len(rows), _BATCH_ROWS):
        connection.execute(statement, rows[start : start + _BATCH_ROWS])


def insertion(dialect: sa.Dialect, table: sa.Table) -> Any:  # noqa: ANN401 - one of two classes that share a shape
    """Return an insert statement that supports ``on_conflict_do_update``."""
    # Importing a dialect takes 0.02 s, and only one is needed.
    return import_module(f"sqlalchemy.dialects.{dialect.name}").insert(table)
