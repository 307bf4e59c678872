"""The migrations and the schema in the code are identical."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from packaging.utils import NormalizedName

import postgres
from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog, Fact, postgresql
from mirror_syncer.catalog.migration import migrate
from mirror_syncer.catalog.schema import metadata
from mirror_syncer.errors import ConfigurationError, StateError


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """Talk to a database beside the catalog."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@pytest.mark.parametrize("migrated", [False, True])
def test_migrations_create_the_schema(catalog_url: str, *, migrated: bool) -> None:
    """In an empty database, code and migrations create the same tables, types and indexes."""
    if migrated:
        with connected(catalog_url) as connection, connection.begin():
            migrate(connection)
    Catalog(catalog_url).close()
    with connected(catalog_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_migrations_create_the_triggers(tmp_path: Path) -> None:
    """A migrated catalog has the same triggers as a new one."""
    made, migrated = (f"sqlite:///{tmp_path / name}" for name in ("made.sqlite", "migrated.sqlite"))
    Catalog(made).close()
    with connected(migrated) as connection, connection.begin():
        migrate(connection)
    triggers = []
    for url in (made, migrated):
        with connected(url) as connection:
            found = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
            triggers.append({name: sql.split() for name, sql in found})
    assert triggers[0] == triggers[1] != {}


def test_migration_fills_the_totals(tmp_path: Path) -> None:
    """The migration computes totals for an older catalog, and they stay current."""
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    with connected(url) as connection, connection.begin():
        migrate(connection, to="0006")
        for name, state, files, published in (("a", "current", 2, 1), ("b", "failing", 0, 0), ("c", "partial", 1, 1)):
            row = {"name": name, "state": state, "files": files, "published": published}
            connection.execute(
                sa.text(
                    "INSERT INTO project (name, state, file_count, stored_bytes, withheld_files, missing_files,"
                    " published, attempts, checked_at) VALUES (:name, :state, :files, 7, 0, 0, :published, 0, 5)"
                ),
                row,
            )
    catalog = Catalog(url)
    totals = catalog.projects.totals()
    assert {state: count for state, count in totals.projects.items() if count} == dict.fromkeys(
        (ProjectState.CURRENT, ProjectState.FAILING, ProjectState.PARTIAL), 1
    )
    assert (totals.files, totals.stored_bytes, totals.installable) == (3, 21, 2)
    assert catalog.projects.amiss_since() == 5
    catalog.projects.forget([NormalizedName("a"), NormalizedName("b"), NormalizedName("c")])
    totals = catalog.projects.totals()
    assert (totals.files, totals.installable, catalog.projects.amiss_since()) == (0, 0, None)
    catalog.close()


@pytest.mark.proves("reliability/upstream")
def test_migration_deletes_impossible_serials(tmp_path: Path) -> None:
    """The migration deletes serials that no counter reaches."""
    url, most = f"sqlite:///{tmp_path / 'catalog.sqlite'}", 2**63 - 1
    with connected(url) as connection, connection.begin():
        migrate(connection, to="0009")
        for name, serial in (("bad", most), ("good", 7)):
            connection.execute(
                sa.text(
                    "INSERT INTO project (name, state, serial, wanted_serial, file_count, stored_bytes, withheld_files,"
                    " missing_files, published, attempts) VALUES (:name, 'current', :serial, :serial, 0, 0, 0, 0, 1, 0)"
                ),
                {"name": name, "serial": serial},
            )
        known = {"origin": "http://u", "edition": most, "serial": most, "first": 0}
        for key, value in (("upstream_list", json.dumps(known)), ("list_serial", str(most))):
            connection.execute(sa.text("INSERT INTO about VALUES (:key, :value)"), {"key": key, "value": value})
    catalog = Catalog(url)
    found = {row.name: row.serial for row in catalog.projects.all_rows()}
    assert (found, catalog.listing.last(), catalog.recall(Fact.LIST_SERIAL)) == ({"bad": None, "good": 7}, None, None)
    catalog.close()


def test_readers_never_wait_for_the_writer(tmp_path: Path) -> None:
    """SQLite's file keeps a write-ahead log."""
    Catalog.in_directory(tmp_path).close()
    with connected(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"


@pytest.mark.parametrize("catalog_url", [pytest.param("postgresql", marks=pytest.mark.docker)], indirect=True)
def test_columns_sort_independently_of_language(catalog_url: str) -> None:
    """On PostgreSQL no column is sorted by the database's language, except texts that are never compared."""
    Catalog(catalog_url).close()
    with connected(catalog_url) as connection:
        columns = sa.text(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name <> 'alembic_version' AND data_type = 'character varying' "
            "AND collation_name IS DISTINCT FROM 'C'"
        )
        assert list(connection.execute(columns)) == []


def test_reopened_catalog_is_unchanged(catalog_url: str) -> None:
    """A current catalog keeps its id and its facts when opened again."""
    first = Catalog(catalog_url)
    first.remember(Fact.PAUSED, "yes")
    first.close()
    second = Catalog(catalog_url)
    assert (second.mirror_id, second.recall(Fact.PAUSED)) == (first.mirror_id, "yes")
    second.close()


def test_catalogs_have_distinct_ids(tmp_path: Path) -> None:
    """Two catalogs never have the same id, so that a tree recognizes its own."""
    identities = set()
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        catalog = Catalog.in_directory(tmp_path / name)
        identities.add(catalog.mirror_id)
        catalog.close()
    assert len(identities) == 2


def test_catalog_of_a_newer_version_is_refused(catalog_url: str) -> None:
    """A catalog of a newer version is refused with a message and stays unchanged."""
    Catalog(catalog_url).close()
    with connected(catalog_url) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()
    with pytest.raises(ConfigurationError, match="no newer version wrote the catalog"):
        Catalog(catalog_url)
    with connected(catalog_url) as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"


@pytest.mark.docker
def test_unreachable_database_is_reported(postgres_server: postgres.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable server is reported in one line without the password."""
    nowhere = sa.make_url(postgres_server.new_database()).set(port=1, password="hunter2")
    monkeypatch.setattr(postgresql, "_PATIENCE_SECONDS", 0.0)
    with pytest.raises(StateError, match=r"does not answer: .*check that PostgreSQL runs") as refused:
        Catalog(nowhere.render_as_string(hide_password=False))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("damage", [b"garbage" * 1_000, b"SQLite format 3\0" + b"\xff" * 4_096])
def test_damaged_catalog_is_refused(tmp_path: Path, damage: bytes) -> None:
    """A file that is not a database is refused without a traceback and stays unchanged."""
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(damage)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Catalog.in_directory(tmp_path)
    assert path.read_bytes() == damage


def test_catalog_without_a_directory_is_refused(tmp_path: Path) -> None:
    """A missing directory is reported by name, and not created."""
    with pytest.raises(ConfigurationError, match="absent"):
        Catalog.in_directory(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


@pytest.mark.docker
@pytest.mark.proves("reliability/database")
def test_starts_at_once_create_one_catalog_on_postgresql(postgres_server: postgres.Server) -> None:
    """Of four that open an empty database at once, none is refused, and all have the same schema."""
    url = postgres_server.new_database()
    at_once = threading.Barrier(4)

    def opened() -> None:
        at_once.wait(60)
        Catalog(url).close()

    with ThreadPoolExecutor(4) as threads:
        for opening in [threads.submit(opened) for _ in range(4)]:
            opening.result()


@pytest.mark.docker
def test_migration_fills_the_totals_on_postgresql(postgres_server: postgres.Server) -> None:
    """An older catalog on PostgreSQL, whose totals were counted at each request, gets them once."""
    url = postgres_server.new_database()
    columns = "name, state, file_count, stored_bytes, withheld_files, missing_files, published, attempts"
    with connected(url) as connection, connection.begin():
        migrate(connection, to="0020")
        connection.exec_driver_sql(f"INSERT INTO project ({columns}) VALUES ('a', 'current', 2, 7, 0, 0, true, 0)")
    catalog = Catalog(url)
    totals = catalog.projects.totals()
    assert (totals.projects[ProjectState.CURRENT], totals.files, totals.installable) == (1, 2, 1)
    catalog.projects.forget([NormalizedName("a")])
    assert catalog.projects.totals().files == 0
    catalog.close()
