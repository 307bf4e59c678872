"""Merging a list into the catalog equals a dictionary update, however it is split, interrupted and repeated."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog, KnownList, new_rows
from mirror_syncer.catalog.new_rows import insert_listed
from mirror_syncer.catalog.schema import project
from mirror_syncer.model.project import CatalogUpdate, ProjectRow
from mirror_syncer.upstream.listed import PARTS

NAMES = st.sampled_from(["0-core", "a", "a-b", "ab", "abc", "b", "z", "z9"])
LISTS = st.lists(st.dictionaries(NAMES, st.integers(1, 30)), min_size=1, max_size=5)


def parts(listed: dict[str, int]) -> list[tuple[str, dict[NormalizedName, int]]]:
    """Return a list in its parts."""
    names = {part: {NormalizedName(name): listed[name] for name in listed if name[:2] == part} for part in PARTS}
    return list(names.items())


def interrupted(some: list[tuple[str, dict[NormalizedName, int]]]) -> Iterator[tuple[str, dict[NormalizedName, int]]]:
    """Yield these parts, and fail instead of the next one."""
    yield from some
    raise ConnectionError


def known(serial: int) -> KnownList:
    """Return what is known of a list by its serial."""
    return KnownList("http://upstream", serial, serial=serial)


def rows(catalog: Catalog) -> dict[str, tuple[int | None, int | None]]:
    """Return each project's wanted serial, and since when it is absent."""
    with catalog._engine.connect() as connection:
        query = sa.select(project.c.name, project.c.wanted_serial, project.c.absent_since)
        return {row.name: (row.wanted_serial, row.absent_since) for row in connection.execute(query)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(lists=LISTS, broken=st.integers(0, len(PARTS)), some=st.integers(1, 4))
def test_merge_behaves_like_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, lists: list[dict[str, int]], broken: int, some: int
) -> None:
    """After any lists, each interrupted once and repeated, the catalog holds the same as a dictionary."""
    catalog = Catalog.in_directory(tmp_path_factory.mktemp("catalog"))
    model: dict[str, tuple[int, int | None]] = {}
    for number, listed in enumerate(lists):
        edition = 100 + number
        for name in {*model, *listed}:
            wanted, since = model.get(name, (0, None))
            if name in listed:
                model[name] = (listed[name], None)
            else:
                model[name] = (wanted, edition if since is None else since)
        with pytest.MonkeyPatch.context() as patch:
            for rows_at_once in ("_READ_ROWS", "LISTED_BATCH_ROWS"):
                patch.setattr(f"mirror_syncer.catalog.listing.{rows_at_once}", some)
            with pytest.raises(ConnectionError):
                catalog.listing.merge(interrupted(parts(listed)[:broken]), known(edition), now=0)
            catalog.listing.merge(parts(listed), known(edition), now=0)
    assert rows(catalog) == model
    catalog.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A catalog of two projects, listed and current."""
    made = Catalog.in_directory(tmp_path)
    made.listing.merge(parts({"a": 10, "b": 20}), known(20), now=0)
    made.commit([CatalogUpdate(ProjectRow(NormalizedName("a"), serial=10, published=True, checked_at=1))])
    made.commit([CatalogUpdate(ProjectRow(NormalizedName("b"), serial=20, published=True, checked_at=1))])
    return made


def changed(catalog: Catalog) -> list[str]:
    """Return what changed, and was looked at before."""
    return [due.name for page in catalog.due.changed() for due in page]


def test_publication_and_list_write_separate_columns(catalog: Catalog) -> None:
    """A project becomes due again as soon as the list gives it a higher serial, whichever writes last."""
    catalog.listing.merge(parts({"a": 30, "b": 20}), known(30), now=0)
    catalog.commit([CatalogUpdate(ProjectRow(NormalizedName("a"), serial=10, published=True, checked_at=2))])
    assert changed(catalog) == ["a"]
    assert catalog.serials() == (29, 30)
    catalog.commit([CatalogUpdate(ProjectRow(NormalizedName("a"), serial=30, published=True, checked_at=3))])
    assert changed(catalog) == []
    assert catalog.serials() == (30, 30)
    catalog.close()


def test_older_list_does_not_prove_an_absence(catalog: Catalog) -> None:
    """A project with a newer serial than the list that lacks it is not absent."""
    catalog.commit([CatalogUpdate(ProjectRow(NormalizedName("b"), serial=50, published=True, checked_at=2))])
    catalog.listing.merge(parts({"a": 10}), known(40), now=0)
    assert rows(catalog)["b"] == (20, None)
    catalog.listing.merge(parts({"a": 10}), known(60), now=0)
    assert rows(catalog)["b"] == (20, 60)
    catalog.close()


def test_project_gone_by_its_page_is_absent_at_once(catalog: Catalog) -> None:
    """A project that upstream's page reports as gone is absent at once, until it is found or listed again."""
    name = NormalizedName("b")
    row = ProjectRow(name, serial=20, published=True, checked_at=2)
    catalog.commit([CatalogUpdate(row, gone=True)])
    assert catalog.due.absent(edition=20, published=True, limit=9) == [name]
    catalog.commit([CatalogUpdate(row)])
    assert catalog.due.absent(edition=20, published=True, limit=9) == []
    catalog.commit([CatalogUpdate(row, gone=True)])
    catalog.listing.merge(parts({"a": 10, "b": 21}), known(21), now=0)
    assert catalog.due.absent(edition=21, published=True, limit=9) == []
    catalog.close()


QUERIES: dict[str, Callable[[Catalog], object]] = {
    "changed": lambda catalog: list(catalog.due.changed()),
    "new": lambda catalog: list(catalog.due.new()),
    "retried": lambda catalog: list(catalog.due.retried(now=9)),
    "stale": lambda catalog: list(catalog.due.stale(before=9)),
    "latest": lambda catalog: list(catalog.due.latest(tick=9, before=9)),
    "count latest": lambda catalog: catalog.due.count_latest(tick=9, before=9),
    "doubted": lambda catalog: list(catalog.due.doubted(before=9)),
    "count doubted": lambda catalog: catalog.due.count_doubted(),
    "quarantined": lambda catalog: list(catalog.due.quarantined(before=9)),
    "count quarantined": lambda catalog: catalog.due.count_quarantined(before=9),
    "absent and unpublished": lambda catalog: catalog.due.absent(edition=9, published=False, limit=9),
    "absent": lambda catalog: catalog.due.absent(edition=9, published=True, limit=9),
    "count absent": lambda catalog: catalog.due.count_absent(edition=9),
    "amounts": lambda catalog: catalog.due.amounts(now=9, first=9),
    "serials": lambda catalog: catalog.serials(),
    "count listed": lambda catalog: catalog.due.count_listed(),
    "totals": lambda catalog: catalog.projects.totals(),
    "count published": lambda catalog: catalog.projects.count_published(),
    "failing": lambda catalog: catalog.projects.page(states=(ProjectState.FAILING, ProjectState.PARTIAL), limit=20),
    "due files": lambda catalog: catalog.files.due_projects(now=9),
}


INDEXED = {
    "changed": "project_changed",
    "new": "project_new",
    "retried": "project_retried",
    "stale": "project_checked",
    "latest": "project_latest",
    "doubted": "project_doubted",
    "quarantined": "project_quarantined",
    "absent": "project_absent",
}
"""The index of exactly the rows of a query."""


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", QUERIES)
def test_queries_use_an_index(catalog: Catalog, tmp_path: Path, name: str, order: int) -> None:
    """Every query of a sync without changes, a scrape or a status uses its index, in whatever order they were made."""
    with catalog._engine.begin() as connection:
        made = connection.execute(
            sa.text("SELECT name, sql FROM sqlite_master WHERE name GLOB 'project_*' AND sql > ''")
        )
        for index, sql in [(index, sql) for index, sql in sorted(made.all())[::order] if "INDEX" in sql]:
            connection.execute(sa.text(f"DROP INDEX {index}"))
            connection.execute(sa.text(sql))
    statements: list[tuple[str, Any]] = []
    sa.event.listen(catalog._engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    QUERIES[name](catalog)
    catalog.close()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as database:
        for statement, values in statements:
            plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
            # The totals are a table of five rows.
            scans = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step and "total" not in step]
            assert scans == [], (statement, plan)
            if (index := next((word for word in name.split() if word in INDEXED), None)) is not None:
                assert f"INDEX {INDEXED[index]} " in f"{plan[0]} "
            if name in ("amounts", "serials"):
                assert not any("project_latest" in step for step in plan), (statement, plan)
            if name not in ("failing", "due files"):
                assert not any("TEMP B-TREE" in step for step in plan), (statement, plan)


def schema(catalog: Catalog) -> set[str]:
    """Return the statements that would make the tables, indexes and triggers."""
    with catalog._engine.connect() as connection:
        return set(connection.scalars(sa.text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")))


def many(count: int) -> dict[str, int]:
    """Return a list of so many projects."""
    return {f"a{number:06}": 1 + number * 7919 % count for number in range(count)}


def test_first_list_leaves_totals_indexes_and_triggers_as_one_by_one(tmp_path: Path) -> None:
    """A first list of thousands, one of them known before, has right totals, and the schema is as it was."""
    made = Catalog.in_directory(tmp_path)
    before = schema(made)
    made.commit([CatalogUpdate(ProjectRow(NormalizedName("a000001"), state=ProjectState.CURRENT, published=True))])
    merged = made.listing.merge(parts(many(2_500)), known(3_000), now=0)
    assert (merged.new, merged.changed) == (2_499, 1)
    assert schema(made) == before
    totals = made.projects.totals()
    assert totals.projects[ProjectState.BEHIND] + totals.projects[ProjectState.CURRENT] == 2_500
    made.listing.merge(parts(many(5_000)), known(6_000), now=0)  # not the first: its indexes stay meanwhile
    assert made.projects.totals().projects[ProjectState.BEHIND] >= 4_999
    assert len(rows(made)) == 5_000
    with made._engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA integrity_check")) == "ok"
    made.close()


def test_list_makes_the_indexes_that_an_earlier_one_could_not(tmp_path: Path) -> None:
    """If the disk is full when a first list makes its indexes, the next list makes them, without a restart."""
    made = Catalog.in_directory(tmp_path)
    before = schema(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(new_rows, "make_indexes", refuse)
        with pytest.raises(sa.exc.OperationalError, match="full"):
            made.listing.merge(parts(many(2_500)), known(3_000), now=0)
    assert schema(made) < before
    made.listing.merge(parts(many(2_501)), known(3_001), now=0)
    assert schema(made) == before
    made.close()


def refuse(_: sa.Engine) -> None:
    """Fail as SQLite does on a full disk."""
    raise sa.exc.OperationalError("CREATE INDEX", {}, Exception("database or disk is full"))


def test_first_list_may_be_killed_at_any_moment(tmp_path: Path) -> None:
    """A process killed during a first list leaves what it inserted; the next start makes the missing indexes."""
    made = Catalog.in_directory(tmp_path)
    before = schema(made)
    taken = iter(parts(many(2_500)))

    class KilledError(BaseException):
        pass

    def until_killed() -> Iterator[tuple[str, dict[NormalizedName, int]]]:
        for _, listed in taken:
            if listed:
                insert_listed(made._engine, list(listed.items()))
                raise KilledError
            yield "00", {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mirror_syncer.catalog.new_rows.make_indexes", lambda _: None)  # nothing runs after a kill
        with pytest.raises(KilledError):
            made.listing.merge(until_killed(), known(3_000), now=0)
    assert schema(made) < before
    made.close()
    again = Catalog.in_directory(tmp_path)
    assert schema(again) == before
    assert again.projects.totals().projects[ProjectState.BEHIND] == len(rows(again)) > 0
    again.listing.merge(parts(many(2_500)), known(3_000), now=0)
    assert len(rows(again)) == 2_500
    again.close()
