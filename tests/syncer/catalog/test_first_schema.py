"""A catalog of the first schema, with something in every table, opened by this version."""

import gzip
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import ProjectState, RunState, Trigger
from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.catalog.schema import metadata
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import Pending
from syncer.site import Site

FIRST = Path(__file__).with_name("first_schema.sql")
SIX, IDNA = NormalizedName("six"), NormalizedName("idna")
ZEROS = Sha256("0" * 64)
BODY = b'{"files": []}'
INTERRUPTED = "20260922T003000000-bbbbbb"


def fill(url: str, *, place: str = "packages/ab/six-1.0.tar.gz", sha256: str = ZEROS, mirror_id: str = "m") -> None:
    """Make such a catalog."""
    engine = sa.create_engine(url)
    packed = gzip.compress(BODY).hex()
    postgresql = engine.dialect.name == "postgresql"
    types = {
        "word": 'VARCHAR COLLATE "C"' if postgresql else "VARCHAR",
        "bytes": "BYTEA" if postgresql else "BLOB",
        "body": f"'\\x{packed}'" if postgresql else f"x'{packed}'",
    }
    script = FIRST.read_text().format(**types, place=place, sha256=sha256, mirror_id=mirror_id, zeros=ZEROS)
    with engine.begin() as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.proves("reliability/time-and-order")
def test_first_schema_migrates_to_the_current_one(catalog_url: str) -> None:
    """The migrations create exactly the tables, types and indexes of the code, and keep every row."""
    fill(catalog_url)
    catalog = Catalog(catalog_url)
    assert (catalog.mirror_id, catalog.recall(Fact.PAUSED)) == ("m", "yes")
    rows = {row.name: row for row in catalog.projects.all_rows()}
    assert {name: row.state for name, row in rows.items()} == {
        "six": ProjectState.CURRENT,
        "idna": ProjectState.PARTIAL,
        "flask": ProjectState.FAILING,
        "left": ProjectState.WITHDRAWN,
    }
    idna = rows[IDNA]
    assert (idna.serial, idna.validators.etag, idna.missing_files, idna.lost_files) == (8, '"e"', 1, 0)
    assert (idna.due_at, rows[NormalizedName("flask")].due_at) == (1_790_000_300, 0)
    kept = catalog.kept_pages.get(IDNA)
    assert kept is not None
    assert (kept.serial, kept.body) == (8, BODY)
    interrupted, ended = catalog.runs.page()
    assert (interrupted.id, interrupted.state, ended.failures[0].project) == (INTERRUPTED, RunState.RUNNING, "flask")
    assert [run.id for run in catalog.runs.page(triggers=[Trigger.API])] == [INTERRUPTED]
    # What it was used for is not known, so a key of those days may be used anew.
    assert catalog.runs.get_by_key("nightly", interrupted.request) is None
    assert catalog.files.pending(IDNA) == [
        Pending(IDNA, PackagePath("packages/00/idna-9.0.tar.gz"), ZEROS),
        Pending(IDNA, PackagePath("packages/01/idna-9.1.tar.gz"), ZEROS, withdraw=True),
    ]
    assert [retirement.place for retirement in catalog.files.due(SIX, now=1_790_000_000)] == [
        "packages/02/six-0.1.tar.gz"
    ]
    assert set(
        catalog.files.recorded_digests([PackagePath(f"packages/0{n}/six-0.{n - 1}.tar.gz") for n in (2, 3, 4)]).values()
    ) == {ZEROS}
    catalog.close()
    engine = sa.create_engine(catalog_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.proves("reliability/time-and-order")
async def test_new_version_continues_an_old_catalog(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A new version continues with the old tree: interrupted runs end, due files are removed."""
    for name in ("six", "idna", "flask"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")
    await site.sync()
    sdist = "six-1.0.tar.gz"
    page = site.published("six")
    mirror_id = (site.data / "pypi" / ".mirror-id").read_text().strip()
    due = site.web / "packages/02/six-0.1.tar.gz"
    due.write_bytes(b"due")
    shutil.rmtree(site.state)
    site.state.mkdir()
    fill(
        f"sqlite:///{site.state / 'catalog.sqlite'}",
        place=page.places[sdist],
        sha256=page.files[sdist].sha256,
        mirror_id=mirror_id,
    )
    site.select("six", "idna", "flask")

    async with site.running() as running:
        running.mirror.runs.restore()
        active = running.mirror.runs.active(INTERRUPTED)
        assert active is not None
        resumed = await running.ended(active.document)
        again = await running.sync()

    assert (resumed.state, again.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert (resumed.counts.files_fetched, again.counts.files_fetched) == (2, 0), "flask's, and nothing twice"
    assert (resumed.counts.files_removed, due.exists()) == (1, False)
    assert site.pages() == ["flask", "idna", "six"]
    site.assert_whole()
