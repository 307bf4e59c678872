"""
The rows of projects that a list names first, on SQLite: hundreds of thousands at once, in few seconds.

Two things took nearly all of a first list's time. The trigger that keeps the totals took 20 µs a row, so it is
absent while a batch is inserted, and its sums are added once. And each row changed a page of every index, those by
serial another one each time, so a first list makes the indexes after its rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, DropIndex

from mirror_syncer.catalog.batches import LISTED_BATCH_ROWS, ListedRows
from mirror_syncer.catalog.schema import project, project_total
from mirror_syncer.catalog.upsert import insertion, upsert

_FEW_ROWS = 1_000  # the trigger counts them faster than the schema changes
_POSTPONED = ("project_listed", "project_new", "project_state", "project_wanted")
"""The indexes that have a new row; the others have rows of few projects."""
_TRIGGER = "project_inserted"

_LISTED = {
    "name": sa.bindparam("of"),
    "wanted_serial": sa.bindparam("wanted"),
    "state": sa.literal_column("'behind'"),
    "published": sa.false(),
    **dict.fromkeys(
        ("file_count", "stored_bytes", "withheld_files", "missing_files", "attempts"), sa.literal_column("0")
    ),
}


def insert_listed(engine: sa.Engine, rows: ListedRows) -> None:
    """Insert the rows of new projects, ``LISTED_BATCH_ROWS`` in a transaction."""
    for start in range(0, len(rows), LISTED_BATCH_ROWS):
        some = rows[start : start + LISTED_BATCH_ROWS]
        with engine.begin() as connection:
            if len(some) > _FEW_ROWS:
                _insert_without_trigger(connection, some)
            else:
                _insert(connection, some)


@contextmanager
def indexes_afterwards(engine: sa.Engine) -> Iterator[None]:
    """
    Make the indexes after the block if it inserts the first rows of a list; see ``make_indexes``.

    If their disk was full then, a later list makes them.
    """
    with engine.connect() as connection:
        known = connection.execute(sa.select(project.c.name).where(project.c.wanted_serial.is_not(None)).limit(1))
        is_first = known.first() is None
    if not is_first:
        make_indexes(engine)
        yield
        return
    with engine.begin() as connection:
        for index in _indexes():
            connection.execute(DropIndex(index, if_exists=True))
    try:
        yield
    finally:
        make_indexes(engine)


def make_indexes(engine: sa.Engine) -> None:
    """Make the indexes that are missing, usually none: a first list was interrupted, or has just ended."""
    master = sa.table("sqlite_master", sa.column("name"))
    query = sa.select(sa.func.count()).select_from(master).where(master.c.name.in_(_POSTPONED))
    with engine.connect() as connection:
        if connection.scalar(query) == len(_POSTPONED):
            return
    for index in _indexes():
        with engine.begin() as connection:
            connection.execute(CreateIndex(index, if_not_exists=True))


def _indexes() -> list[sa.Index]:
    return [index for index in project.indexes if index.name in _POSTPONED]


_ADDED = (
    ("projects", lambda new: project_total.c.projects + new.projects),
    ("files", lambda _: project_total.c.files),
    ("stored_bytes", lambda _: project_total.c.stored_bytes),
)


def _insert_without_trigger(connection: sa.Connection, rows: ListedRows) -> None:
    # The driver starts no transaction for DDL; a kill before its end leaves the trigger as it was.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    trigger = connection.scalar(sa.text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": _TRIGGER})
    connection.exec_driver_sql(f"DROP TRIGGER {_TRIGGER}")
    before = _count(connection)
    _insert(connection, rows)
    behind = {"state": "behind", "projects": _count(connection) - before, "files": 0, "stored_bytes": 0}
    upsert(connection, project_total, [behind], changes=_ADDED)
    connection.exec_driver_sql(str(trigger))


def _count(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(project)).scalar_one()


def _insert(connection: sa.Connection, rows: ListedRows) -> None:
    insert = insertion(connection.dialect.name, project).values(**_LISTED)
    # An operator may have named one in the meantime, so that its row exists.
    insert = insert.on_conflict_do_update(
        index_elements=["name"], set_={"wanted_serial": insert.excluded.wanted_serial}
    )
    # Passed directly to the driver: through SQLAlchemy it takes twice the time.
    connection.exec_driver_sql(str(insert.compile(connection.engine)), list(rows))
