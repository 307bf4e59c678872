"""The migration of the catalog to another database: SQLite to PostgreSQL, or back."""

from contextlib import ExitStack, closing

import sqlalchemy as sa
import typer

from mirror_syncer.catalog import Catalog
from mirror_syncer.catalog.engine import open_engine
from mirror_syncer.catalog.transfer import transfer
from mirror_syncer.config.catalog_url import check_catalog_url
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import ConfigurationError, MirrorError
from mirror_syncer.service.opening_checks import open_tree

SQLITE = "sqlite"
_ROWS_A_LINE = 100_000


def migrate_catalog(settings: Settings, target: str) -> str:
    """
    Copy the catalog in use into an empty one, and return a message for the operator.

    Args:
        target: ``sqlite`` for the file in MIRROR_STATE, or the URL of a database on PostgreSQL, whose password is in
            MIRROR_CATALOG_PASSWORD_FILE.

    Raises:
        ConfigurationError: the target is no database, or is the catalog in use.
        MirrorError: the target is not empty, or does not have the same rows afterwards.
        VolumeError: the tree cannot be opened; a running service may lock it.
    """
    url = _target_url(settings, target)
    with ExitStack() as opened:
        source = opened.enter_context(closing(Catalog.of_settings(settings)))
        opened.enter_context(open_tree(settings, catalog=source))  # no syncer writes meanwhile
        engine = open_engine(url, password_file=settings.catalog_password_file)
        opened.callback(engine.dispose)
        try:
            rows = transfer(source.engine, engine, progress=_Progress().show)
        except sa.exc.DatabaseError as error:
            raise MirrorError(f"the target refused a row: {str(error).splitlines()[0]}; nothing was changed") from error
    setting = "MIRROR_CATALOG=" if target == SQLITE else f"MIRROR_CATALOG={target}"
    return f"{rows:,} rows copied and compared; now set {setting} and start the syncer. The old catalog is unchanged"


def _target_url(settings: Settings, target: str) -> str:
    if target == (settings.catalog or SQLITE):
        problem = "--to is the catalog in use; MIRROR_CATALOG must still be the one to copy"
        raise ConfigurationError("migrate-catalog", [problem])
    if target == SQLITE:
        return f"sqlite:///{settings.state / 'catalog.sqlite'}"
    try:
        return check_catalog_url(target)
    except ValueError as error:
        raise ConfigurationError("migrate-catalog", [f"--to {error}; or `sqlite`"]) from None


class _Progress:
    """Prints a line for each table, and for each hundred thousand rows of it."""

    def __init__(self) -> None:
        self._shown = 0

    def show(self, table: str, rows: int) -> None:
        if rows < self._shown:
            self._shown = 0
        if rows - self._shown >= _ROWS_A_LINE:
            self._shown = rows
            typer.echo(f"{table}: {rows:,} rows", err=True)
