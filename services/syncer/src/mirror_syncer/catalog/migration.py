"""Brings a catalog of an earlier version to today's schema."""

from importlib.resources import files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError


def migrate(connection: sa.Connection, *, to: str = "head") -> None:
    """
    Run the migrations that it lacks, up to a revision.

    Raises:
        LookupError: its version is none of ours: a newer one wrote it.
    """
    config = Config()
    config.set_main_option("script_location", str(files("mirror_syncer.catalog") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except CommandError as error:
        raise LookupError(str(error)) from error
