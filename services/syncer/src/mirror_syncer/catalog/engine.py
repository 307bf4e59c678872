"""The opening of a catalog's database: it is created, or migrated from an older version."""

import sqlite3
import time
from typing import Any

import sqlalchemy as sa

from mirror_syncer.catalog.error_explanations import explain_sqlite_error
from mirror_syncer.catalog.new_rows import make_indexes
from mirror_syncer.catalog.schema import SCHEMA_VERSION, metadata, set_conditions
from mirror_syncer.errors import ConfigurationError

# alembic's table; it is not part of the schema, so that no migration creates it
_VERSION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
_BUSY_SECONDS = 10


def open_engine(url: str) -> sa.Engine:
    """
    Return the engine of a database with the current schema.

    Args:
        url: a URL of SQLAlchemy, such as ``sqlite:////var/lib/pypi-mirror/catalog.sqlite``.

    Raises:
        ConfigurationError: it cannot be opened, or was written by a newer version.
    """
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "handle_error", explain_sqlite_error)
    try:
        _migrate(engine)
        make_indexes(engine)
    except (sa.exc.DatabaseError, LookupError) as error:
        engine.dispose()
        problem = (
            f"{engine.url!r} cannot be opened ({str(error).splitlines()[0]}); check that MIRROR_STATE is a "
            "writable directory on a local disk, and that no newer version wrote the catalog"
        )
        raise ConfigurationError("catalog", [problem]) from error
    return engine


def _migrate(engine: sa.Engine) -> None:
    """Create a new catalog from the schema, or migrate an older one by alembic, whose import takes 0.1 s."""
    with engine.begin() as connection:
        if _version(connection) == SCHEMA_VERSION:
            return
        if connection.dialect.name == "sqlite":
            # The driver starts no transaction for DDL: a kill between two statements would leave half a schema.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        version = _version(connection)
        if version is None:
            set_conditions(connection.dialect.name)
            metadata.create_all(connection)
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            connection.execute(_VERSION.insert().values(version_num=SCHEMA_VERSION))
        elif version != SCHEMA_VERSION:
            from mirror_syncer.catalog.migration import migrate  # noqa: PLC0415 - see above

            migrate(connection)


def _version(connection: sa.Connection) -> str | None:
    """Return the schema's version, or None for an empty database."""
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    version: str | None = connection.scalar(sa.select(_VERSION.c.version_num))
    return version


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:  # noqa: ANN401 - SQLAlchemy's record
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
