"""``migrate-catalog`` moves a catalog to PostgreSQL and back: every row, or none."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

import fakepypi
import postgres
from mirror_contract import RunState
from mirror_syncer.catalog import Catalog, transfer
from mirror_syncer.catalog.engine import open_engine
from mirror_syncer.catalog.schema import kept_page, metadata, project
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import MirrorError
from syncer.commands.test_cli import mirror_syncer
from syncer.site import Site

pytestmark = [pytest.mark.docker, pytest.mark.proves("reliability/database")]


def content(site: Site) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables; the stored changes of totals are added to them."""
    found = {}
    with closing(Catalog.of_settings(_settings(site))) as catalog, catalog.engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = connection.execute(sa.select(table)) if table.primary_key else ()
            found[table.name] = sorted(map(tuple, rows), key=repr)
    return found


def _settings(site: Site) -> Settings:
    return Settings.model_validate({"state": site.state, "catalog": site.catalog})


async def test_round_trip_keeps_every_row(
    tmp_path: Path, pypi: fakepypi.FakePyPI, postgres_server: postgres.Server
) -> None:
    """To PostgreSQL and back each row is the same, and the mirror continues there without downloading anything."""
    for name in ("idna", "six", "toml"):
        pypi.index.project(name).upload("1.0")
    site = Site(tmp_path, upstream=pypi.url)
    site.select("idna", "six", "toml", latest=1)
    await site.sync()
    pypi.index.project("six").upload("2.0")
    await site.sync()
    with closing(Catalog.in_directory(site.state)) as catalog, catalog.engine.begin() as connection:
        page = {"url": "http://u/", "content_type": "text/html", "body": b"\x1f\x8b\0\xff", "sha256": None}
        connection.execute(kept_page.insert(), [{"name": f"p{number}", **page} for number in range(5_000)])
    before = content(site)
    there = postgres_server.new_setting()

    moved = await mirror_syncer(site, "migrate-catalog", "--to", there)
    (site.state / "catalog.sqlite").rename(tmp_path / "old.sqlite")
    site.catalog = there

    assert (moved.code, moved.err) == (0, "")
    assert f"set MIRROR_CATALOG={there} " in moved.out
    assert content(site) == before
    back = await mirror_syncer(site, "migrate-catalog", "--to", "sqlite")
    pypi.log.forget()
    run = await site.sync()
    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 0)
    assert [path for path in pypi.log.paths() if "packages" in path] == []
    site.catalog = ""
    assert back.code == 0
    assert content(site) == before
    site.assert_whole()


async def test_used_target_is_refused(
    tmp_path: Path, pypi: fakepypi.FakePyPI, postgres_server: postgres.Server
) -> None:
    """A target with rows stays as it is, and so does the source; the command names a table and exits with 1."""
    pypi.index.project("six").upload("1.0")
    site = Site(tmp_path, upstream=pypi.url)
    site.select("six")
    await site.sync()
    there = postgres_server.new_setting()
    assert (await mirror_syncer(site, "migrate-catalog", "--to", there)).code == 0

    again = await mirror_syncer(site, "migrate-catalog", "--to", there)

    assert again.code == 1
    assert "the target already has rows (" in again.err
    assert "fills only an empty one" in again.err
    assert "Traceback" not in again.err


async def test_running_service_refuses_the_migration(
    tmp_path: Path, pypi: fakepypi.FakePyPI, postgres_server: postgres.Server
) -> None:
    """While a syncer runs, its catalog is not copied: the command says to stop it."""
    pypi.index.project("six").upload("1.0")
    site = Site(tmp_path, upstream=pypi.url)
    site.select("six")
    async with site.running():
        refused = await mirror_syncer(site, "migrate-catalog", "--to", postgres_server.new_setting())

    assert refused.code == 1
    assert "Stop that one first" in refused.err


@pytest.mark.parametrize("target", ["mysql://a@b/c", "postgresql://a:hunter2@b/c", "postgresql://a@b", "sqlite"])
async def test_wrong_target_is_a_usage_error(tmp_path: Path, pypi: fakepypi.FakePyPI, target: str) -> None:
    """A target that is no database, or the catalog in use, ends the command with exit code 2; no password is shown."""
    site = Site(tmp_path, upstream=pypi.url)
    site.select("six")
    refused = await mirror_syncer(site, "migrate-catalog", "--to", target)
    assert refused.code == 2
    assert "hunter2" not in refused.err


@pytest.mark.parametrize("table", ["project", "retired"])
async def test_interrupted_migration_leaves_nothing(
    tmp_path: Path, postgres_server: postgres.Server, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """A migration that fails in between leaves an empty target, into which the next one copies everything."""
    with closing(Catalog.in_directory(tmp_path)) as source:
        with source.engine.begin() as connection:
            rows = [{"name": f"p{number}", "state": "behind", "error": "a\0b"} for number in range(3)]
            connection.execute(project.insert(), rows)
        target = await asyncio.to_thread(open_engine, postgres_server.new_setting())

        def fail(name: str, _: int) -> None:
            if name == table:
                raise KeyboardInterrupt

        monkeypatch.setattr(transfer, "_BATCH_ROWS", 2)
        if table == "project":
            with pytest.raises(KeyboardInterrupt):
                transfer.transfer(source.engine, target, progress=fail)
        else:
            monkeypatch.setattr(transfer.TableDigest, "__eq__", lambda *_: False)
            with pytest.raises(MirrorError, match="nothing was changed"):
                transfer.transfer(source.engine, target, progress=fail)
            monkeypatch.undo()
        with target.connect() as connection:
            assert connection.execute(sa.select(project)).all() == []
        assert transfer.transfer(source.engine, target, progress=lambda *_: None) == 4
        target.dispose()
