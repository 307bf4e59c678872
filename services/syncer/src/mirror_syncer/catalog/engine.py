"""The opening of a catalog's database: it is created, or migrated from an older version."""

from pathlib import Path

import sqlalchemy as sa

from mirror_syncer.catalog.backend import backend_of
from mirror_syncer.catalog.schema import SCHEMA_VERSION, metadata, set_conditions
from mirror_syncer.errors import CatalogRefusedError, ConfigurationError

# alembic's table; it is not part of the schema, so that no migration creates it
_VERSION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def open_engine(url: str, *, password_file: Path | None = None) -> sa.Engine:
    """
    Return the engine of a database with the current schema.

    Args:
        url: a URL of SQLAlchemy, such as ``sqlite:////var/lib/pypi-mirror/catalog.sqlite``.
        password_file: for PostgreSQL; read again for each connection.

    Raises:
        ConfigurationError: it cannot be opened, refuses the syncer, or was written by a newer version.
        StateError: its disk failed, or its server does not answer.
    """
    parsed = sa.make_url(url)
    backend = backend_of(parsed)
    engine = backend.create_engine(parsed, password_file)
    try:
        _migrate(engine)
        backend.repair_schema(engine)
    except CatalogRefusedError as error:
        engine.dispose()
        raise ConfigurationError("catalog", [str(error)]) from error
    except (sa.exc.DatabaseError, LookupError) as error:
        engine.dispose()
        reason = str(error).splitlines()[0]
        problem = f"{engine.url!r} cannot be opened ({reason}); {backend.opening_remedy(parsed)}"
        raise ConfigurationError("catalog", [problem]) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def _migrate(engine: sa.Engine) -> None:
    """Create a new catalog from the schema, or migrate an older one by alembic, whose import takes 0.1 s."""
    with engine.begin() as connection:
        if _version(connection) == SCHEMA_VERSION:
            return
        backend_of(engine).lock_schema(connection)
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
