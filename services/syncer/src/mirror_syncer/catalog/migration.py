"""The migration of an older catalog to the current schema."""

from importlib.resources import files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError


def migrate(connection: sa.Connection, *, to: str = "head") -> None:
    """
    Run the missing migrations, up to a revision.

    Raises:
        LookupError: the catalog's version is unknown: a newer version wrote it.
    """
    config = Config()
    config.set_main_option("script_location", str(files("mirror_syncer.catalog") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise LookupError(str(error)) from error
