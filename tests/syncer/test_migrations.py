"""The migrations and the schema in the code are one and the same."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.catalog.schema import metadata
from mirror_syncer.errors import ConfigurationError


def test_migrations_make_the_schema(tmp_path: Path) -> None:
    """From an empty file, the migrations make exactly the tables, types and indexes that the code expects."""
    Catalog.in_directory(tmp_path).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
    engine.dispose()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """A catalog of this version is opened as it is, with the same identity and the same facts."""
    first = Catalog.in_directory(tmp_path)
    first.remember(Fact.PAUSED, "yes")
    first.close()
    second = Catalog.in_directory(tmp_path)
    assert (second.mirror_id, second.recall(Fact.PAUSED)) == (first.mirror_id, "yes")
    second.close()


def test_catalogs_are_told_apart(tmp_path: Path) -> None:
    """Two catalogs never have one identity, so that a tree knows its own."""
    identities = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        catalog = Catalog.in_directory(tmp_path / name)
        identities.add(catalog.mirror_id)
        catalog.close()
    assert len(identities) == 2


def test_catalog_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A catalog that a newer version wrote is left alone, with a sentence that says why."""
    Catalog.in_directory(tmp_path).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="this version not older than the one that wrote it"):
        Catalog.in_directory(tmp_path)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"
    engine.dispose()


@pytest.mark.parametrize("damage", [b"garbage" * 1_000, b"SQLite format 3\0" + b"\xff" * 4_096])
def test_damaged_catalog_is_refused(tmp_path: Path, damage: bytes) -> None:
    """A file that is no database is left as it is, and told of without a traceback."""
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(damage)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Catalog.in_directory(tmp_path)
    assert path.read_bytes() == damage


def test_catalog_without_a_directory_is_refused(tmp_path: Path) -> None:
    """A directory that is not there is told of by name, and not made."""
    with pytest.raises(ConfigurationError, match="absent"):
        Catalog.in_directory(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
