"""What differs between the two databases: ``sqlite`` and ``postgresql`` are modules with these functions."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from mirror_syncer.catalog.batches import ListedRows


class Durability(Protocol):
    """What makes commits durable: on neither database a commit waits for the disk."""

    def sync(self) -> bool:
        """
        Make all commits durable, and return whether none was lost since the last call.

        Raises:
            StateError: the disk failed, or the server is away.
        """

    def close(self) -> None:
        """Release what it holds."""


class Backend(Protocol):
    """A database's own ways; each is a module, so that only the one in use is imported with its driver."""

    KEPT_PAGE_INDEX: str
    """What makes a query of digests use the index that has them."""

    def create_engine(self, url: sa.URL, password_file: Path | None, /) -> sa.Engine:
        """Return an engine whose errors are translated; nothing is opened yet."""

    def opening_remedy(self, url: sa.URL, /) -> str:
        """Return what to check if a catalog cannot be opened."""

    def lock_schema(self, connection: sa.Connection, /) -> None:
        """Keep other processes from changing the schema until the transaction ends."""

    def repair_schema(self, engine: sa.Engine, /) -> None:
        """Complete what an interrupted process left."""

    def Durability(self, engine: sa.Engine, /) -> "Durability":  # noqa: N802 - a class of the modules
        """Return what makes commits durable."""

    def cursor(self, connection: sa.Connection, /, *, streaming: bool = False) -> AbstractContextManager[Any]:
        """
        Open the driver's cursor, which is faster than SQLAlchemy's; its errors are translated, too.

        Args:
            streaming: the result may have all projects, and must not be in memory at once.
        """

    def insert_listed(self, engine: sa.Engine, rows: ListedRows, /) -> None:
        """Insert the rows of projects that a list names first."""

    def indexes_afterwards(self, engine: sa.Engine, /) -> AbstractContextManager[None]:
        """Make the indexes after the block, if that is faster for the first rows of a list."""

    def add_changed_totals(self, connection: sa.Connection, /) -> None:
        """Add the changes of the totals that are stored one by one."""

    def read_changed_totals(self, connection: sa.Connection, /) -> Sequence[sa.Row[Any]]:
        """Return the sums of changes that are not added yet, by state, in the columns of ``project_total``."""


def backend_of(database: sa.Engine | sa.Connection | sa.URL) -> Backend:
    """Return the module for a database."""
    name = database.get_backend_name() if isinstance(database, sa.URL) else database.dialect.name
    if name == "postgresql":
        from mirror_syncer.catalog import postgresql  # noqa: PLC0415 - the driver takes 0.1 s

        return postgresql
    from mirror_syncer.catalog import sqlite  # noqa: PLC0415 - as above

    return sqlite
