"""The catalog stores projects, files in transition, and runs, on SQLite and on PostgreSQL."""

import dataclasses
import time
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from mirror_contract import ProjectState, Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Catalog, Fact, run_log
from mirror_syncer.catalog.listing import KnownList
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import CatalogUpdate, KeptPage, Pending, ProjectRow, Retirement
from mirror_syncer.model.validators import Validators
from syncer.site import memory_below

A, B = Sha256("a" * 64), Sha256("b" * 64)
SIX, IDNA = NormalizedName("six"), NormalizedName("idna")


def place(name: str) -> PackagePath:
    """Return a file's place."""
    return PackagePath(f"packages/ab/{name}")


def retire(name: str, *, due_at: int, sha256: Sha256 = A, withdraw: bool = False) -> CatalogUpdate:
    """Return what drops a file of six's page."""
    leaving = Retirement(SIX, place(name), sha256, due_at=due_at, withdraw=withdraw)
    return CatalogUpdate(ProjectRow(SIX), retirements=(leaving,))


def run(
    identifier: str,
    *,
    state: RunState = RunState.QUEUED,
    kind: RunKind = RunKind.SYNC,
    trigger: Trigger = Trigger.API,
    whole: bool = True,
) -> Run:
    """Return a run."""
    ended = datetime.now(UTC) if state.ended else None
    request = RunRequest(kind=kind, projects=None if whole else ("six",))
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(id=identifier, request=request, trigger=trigger, state=state, created_at=created, finished_at=ended)


def test_row_is_stored_and_replaced_completely(catalog: Catalog, catalog_url: str) -> None:
    """Every field of a row survives the database and a restart, and a second update replaces all of them."""
    row = ProjectRow(
        SIX,
        state=ProjectState.PARTIAL,
        serial=2**62,
        own_serial=2**61,
        seen_serial=2**60,
        doubted=True,
        older_since=4,
        validators=Validators('W/"é"', "Sun, 22 Nov 2026 16:00:00 GMT"),
        fingerprint="0" * 16,
        file_count=3,
        stored_bytes=2**50,
        withheld_files=4,
        held_files=2,
        blocked_files=1,
        expires_at=4,
        missing_files=1,
        lost_files=5,
        quarantined=True,
        published=True,
        attempts=2,
        due_at=1,
        checked_at=2,
        changed_at=3,
        error='"; DROP TABLE project; -- \n☃',
        page_sha256="1" * 64,
        newest_version="2.0",
    )
    assert all(getattr(row, field.name) != field.default for field in dataclasses.fields(row)), "a field was forgotten"
    catalog.commit([CatalogUpdate(row)])
    assert catalog.projects.get(SIX) == row
    again = Catalog(catalog_url)
    assert (again.projects.get(SIX), again.mirror_id) == (row, catalog.mirror_id)
    again.commit([CatalogUpdate(ProjectRow(SIX))])
    assert catalog.projects.get(SIX) == ProjectRow(SIX)
    again.close()


@pytest.mark.proves("reliability/upstream")
@settings(max_examples=50)
@given(attempts=st.integers(0, 10**9))
def test_backoff_is_bounded(attempts: int) -> None:
    """The next retry comes after at least five minutes and at most a day, however often it has failed."""
    wait = ProjectRow(SIX, attempts=attempts).next_retry_at() - time.time()
    assert 298 <= wait <= 86_400
    assert attempts > 0 or wait <= 300


def test_group_is_committed_atomically(catalog: Catalog) -> None:
    """An update that the database refuses rolls back its whole group."""
    bad = dataclasses.replace(ProjectRow(IDNA), serial=2**70)
    catalog.files.claim([Pending(SIX, place("x"), A)])
    with pytest.raises((OverflowError, sa.exc.SQLAlchemyError)):
        catalog.commit([CatalogUpdate(ProjectRow(SIX)), CatalogUpdate(bad)])
    assert catalog.projects.get(SIX) is None
    assert catalog.files.pending() == [Pending(SIX, place("x"), A)]


def test_stored_page_stays_until_the_next_download(catalog: Catalog) -> None:
    """A stored upstream page survives a mere touch; the next download replaces or deletes it."""
    page = KeptPage(SIX, "https://pypi.org/simple/six/", "text/html", 7, "\0☃".encode() * 1_000)
    catalog.commit([CatalogUpdate(ProjectRow(SIX), read=True, kept=page)])
    catalog.commit([CatalogUpdate(ProjectRow(SIX, attempts=1))])
    assert catalog.kept_pages.get(SIX) == page
    newer = dataclasses.replace(page, serial=None, body=b"")
    catalog.commit([CatalogUpdate(ProjectRow(SIX), read=True, kept=newer), CatalogUpdate(ProjectRow(IDNA), read=True)])
    assert catalog.kept_pages.get(SIX) == newer
    catalog.commit([CatalogUpdate(ProjectRow(SIX), read=True)])
    assert catalog.kept_pages.get(SIX) is None


def test_pending_files_last_until_their_project_is_committed(catalog: Catalog) -> None:
    """A publication's pending files stay recorded until that project, and no other, is committed."""
    six, idna = Pending(SIX, place("six"), A), Pending(IDNA, place("idna"), B)
    assert catalog.files.claim([six, idna]) == set()
    assert catalog.files.claim([six]) == set(), "intending twice is intending once"
    catalog.commit([CatalogUpdate(ProjectRow(SIX))])
    assert catalog.files.pending() == catalog.files.pending(IDNA) == [idna]
    assert catalog.files.pending(SIX) == []
    catalog.recover(IDNA, None, retirements=[], returned=[])
    assert catalog.files.pending() == []


def test_place_refuses_other_content_forever(catalog: Catalog) -> None:
    """A place that once held other content is refused, even after the file's removal; the same content is accepted."""
    catalog.commit([retire("x", due_at=1)])
    catalog.files.record_removal(SIX, [place("x")])
    same, other, new = (Pending(SIX, place(name), sha) for name, sha in (("x", A), ("x", B), ("y", B)))
    assert catalog.files.claim([same, new]) == set()
    assert catalog.files.claim([other, new]) == {place("x")}
    assert catalog.files.recorded_digests([place("x"), place("y")]) == {place("x"): A}


def test_thousands_of_places_are_claimed_in_batches(catalog: Catalog) -> None:
    """The thousands of files of a project are claimed in batches, without losing any."""
    catalog.commit([retire(f"{number}", due_at=1) for number in range(0, 1_500, 3)])
    intents = [Pending(SIX, place(f"{number}"), B) for number in range(1_500)]
    assert catalog.files.claim(intents) == {place(f"{number}") for number in range(0, 1_500, 3)}


def test_retired_file_becomes_due(catalog: Catalog) -> None:
    """A file becomes due at its time, per project; one that returned or was removed is no longer due."""
    catalog.commit([retire("late", due_at=300), retire("soon", due_at=100, withdraw=True), retire("back", due_at=100)])
    catalog.files.claim([Pending(SIX, place("back"), A), Pending(SIX, place("never-left"), A)])
    catalog.commit([CatalogUpdate(ProjectRow(SIX), returned=(place("back"), place("never-left")))])
    assert (catalog.files.due_projects(now=99), catalog.files.due(SIX, now=99)) == ([], [])
    assert catalog.files.due_projects(now=300) == [SIX]
    assert catalog.files.due(SIX, now=100) == [Retirement(SIX, place("soon"), A, due_at=100, withdraw=True)]
    assert {leaving.place for leaving in catalog.files.due(SIX, now=300)} == {place("soon"), place("late")}
    assert catalog.files.due(IDNA, now=300) == []
    catalog.files.record_removal(SIX, [place("soon")])
    assert [leaving.place for leaving in catalog.files.due(SIX, now=300)] == [place("late")]


def test_totals_count_projects_by_state(catalog: Catalog) -> None:
    """Totals count every project under its state, including states without any."""
    assert catalog.projects.totals().projects == dict.fromkeys(ProjectState, 0)
    rows = [
        ProjectRow(
            NormalizedName(f"p{number}"), state=state, file_count=number, stored_bytes=2**40, published=number != 1
        )
        for number, state in enumerate([ProjectState.CURRENT, ProjectState.CURRENT, ProjectState.FAILING])
    ]
    catalog.commit([CatalogUpdate(row) for row in rows])
    totals = catalog.projects.totals()
    assert (totals.projects[ProjectState.CURRENT], totals.projects[ProjectState.FAILING]) == (2, 1)
    assert (totals.files, totals.stored_bytes) == (3, 3 * 2**40)
    assert totals.installable == 1, "p0 has no file, p1 no page"
    assert type(totals.files) is type(totals.stored_bytes) is int, "a Decimal is no number for JSON"


@pytest.mark.proves("reliability/status")
def test_failure_keeps_its_first_time(catalog: Catalog) -> None:
    """Projects fail since the first failure of one that still fails, however often they are retried."""

    def store(name: str, state: ProjectState, at: int) -> int | None:
        catalog.commit([CatalogUpdate(ProjectRow(NormalizedName(name), state=state, checked_at=at))])
        return catalog.projects.amiss_since()

    assert store("a", ProjectState.CURRENT, 10) is None
    assert store("a", ProjectState.FAILING, 20) == 20
    assert store("b", ProjectState.PARTIAL, 30) == 20
    assert store("a", ProjectState.PARTIAL, 40) == 20
    assert store("a", ProjectState.CURRENT, 50) == 30
    assert store("b", ProjectState.CURRENT, 60) is None
    assert store("b", ProjectState.FAILING, 70) == 70


def test_paging_reaches_every_project_once(catalog: Catalog) -> None:
    """Pages by name contain every project once, in order."""
    names = sorted(f"p{number}" for number in range(25))
    catalog.commit([CatalogUpdate(ProjectRow(NormalizedName(name))) for name in reversed(names)])
    seen: list[str] = []
    while page := catalog.projects.page(after=seen[-1] if seen else "", limit=7):
        seen += [row.name for row in page]
    assert seen == names == [row.name for row in catalog.projects.all_rows()]


def test_projects_are_filtered_by_state(catalog: Catalog) -> None:
    """A list by name contains only projects in the requested states."""
    for name in ("zope", "zopex", "b"):
        state = ProjectState.FAILING if name == "zopex" else ProjectState.CURRENT
        catalog.commit([CatalogUpdate(ProjectRow(NormalizedName(name), state=state))])
    assert [row.name for row in catalog.projects.page(states=[ProjectState.FAILING])] == ["zopex"]
    assert [row.name for row in catalog.projects.page(states=[ProjectState.CURRENT], after="b")] == ["zope"]


def test_rows_come_in_the_requested_order(catalog: Catalog) -> None:
    """The rows of named projects come in the order of the names; those that are unknown are left out."""
    wanted = [NormalizedName(name) for name in ("b", "a", "unknown", "c")]
    catalog.commit([CatalogUpdate(ProjectRow(NormalizedName(name), file_count=3)) for name in ("a", "b", "c")])
    assert [row.name for row in catalog.projects.rows(wanted)] == ["b", "a", "c"]
    assert [figures[:3] for figures in catalog.projects.figures()] == [(name, "behind", 3) for name in ("a", "b", "c")]


def test_names_are_sorted_by_bytes(catalog: Catalog) -> None:
    """Whatever the database's language, every list of names has Python's sort order."""
    names = ["a", "a-b", "a0", "ab", "b", "b-a", "b0", "ba"]
    catalog.commit([CatalogUpdate(ProjectRow(NormalizedName(name), published=True)) for name in reversed(names)])
    assert [row.name for row in catalog.projects.all_rows()] == sorted(names) == names
    assert [name for name, _ in catalog.projects.listed()] == names
    assert [row.name for row in catalog.projects.page(after="a0")] == names[names.index("a0") + 1 :]
    catalog.files.claim([Pending(NormalizedName(name), place(name), A) for name in reversed(names)])
    assert [intent.project for intent in catalog.files.pending()] == names


def test_list_of_projects_is_streamed(catalog: Catalog) -> None:
    """Names and serials of all published projects are read in batches; no cursor stays open."""
    rows = [ProjectRow(NormalizedName(f"p{n:06}"), serial=n, published=n % 100 > 0) for n in range(20_000)]
    with catalog._engine.begin() as connection:
        catalog.projects.store(connection, rows)
    del rows
    with memory_below(3 * 2**20):
        assert sum(1 for _ in catalog.projects.listed()) == 19_800
    listed = catalog.projects.listed()
    assert next(listed) == ("p000001", 1)
    if catalog._engine.dialect.name == "postgresql":
        # The driver's memory is not Python's: only the server knows that it was asked for a part.
        with catalog._engine.connect() as connection:
            asked = connection.scalars(sa.text("SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in%'"))
            assert [query.split()[:2] for query in asked] == [["FETCH", "FORWARD"]]


def test_totals_equal_a_count_of_all_rows(catalog: Catalog) -> None:
    """After any writes, the totals equal a count of all rows."""
    random = Random(7)
    names = [NormalizedName(f"p{number}") for number in range(12)]
    known = KnownList(origin="https://pypi.org", edition=50, serial=50)
    for turn in range(60):
        some = random.sample(names, 4)
        match random.randrange(3):
            case 0:
                rows = [
                    ProjectRow(name, state=random.choice(list(ProjectState)), file_count=turn, stored_bytes=turn * 9)
                    for name in some
                ]
                with catalog._engine.begin() as connection:
                    catalog.projects.store(connection, rows)
            case 1:
                catalog.projects.forget(some)
            case _:
                catalog.listing.merge([("p", dict.fromkeys(some, turn))], known, now=turn)
        expected = dict.fromkeys(ProjectState, 0)
        rows = list(catalog.projects.all_rows())
        for row in rows:
            expected[row.state] += 1
        weight = (sum(row.file_count for row in rows), sum(row.stored_bytes for row in rows))
        totals = catalog.projects.totals()
        assert (totals.projects, (totals.files, totals.stored_bytes)) == (expected, weight)


def test_runs_are_paged_newest_first(catalog: Catalog) -> None:
    """Runs are listed newest first, by state, by kind, full or not, and older than a given run."""
    for number in range(6):
        catalog.runs.add(
            run(f"{number}", state=RunState.SUCCEEDED if number < 4 else RunState.QUEUED, whole=number > 0)
        )
    catalog.runs.add(run("6", kind=RunKind.VERIFY))
    assert [found.id for found in catalog.runs.page(limit=3)] == ["6", "5", "4"]
    assert [found.id for found in catalog.runs.page(before="4", limit=3)] == ["3", "2", "1"]
    assert [found.id for found in catalog.runs.page(states=[RunState.QUEUED], kind=RunKind.SYNC)] == ["5", "4"]
    assert [found.id for found in catalog.runs.page(whole=False)] == ["0"]


def test_runs_are_filtered_by_trigger_and_time(catalog: Catalog) -> None:
    """Runs are filtered by triggers, states and time: newest first, up to a limit."""
    asked = [Trigger.API, Trigger.CLI, Trigger.SCHEDULE] * 2
    ids = [f"2026112{day}T161233905-3fa9c{day}" for day in range(6)]
    for identifier, trigger in zip(ids, asked, strict=True):
        catalog.runs.add(run(identifier, trigger=trigger))
    people = [Trigger.API, Trigger.CLI]

    def listed(**wanted: Any) -> list[int]:
        return [ids.index(found.id) for found in catalog.runs.page(**wanted)]

    assert listed(triggers=people) == [4, 3, 1, 0]
    assert listed(triggers=people, limit=3) == [4, 3, 1]
    assert listed(triggers=people, states=[RunState.QUEUED, RunState.FAILED], before=ids[3]) == [1, 0]
    assert listed(triggers=[Trigger.CLI], states=[RunState.FAILED]) == []
    moment = datetime(2026, 11, 23, 16, 12, 33, 905_000, tzinfo=UTC)
    assert listed(since=moment) == [5, 4, 3]
    assert listed(since=moment.astimezone(timezone(timedelta(hours=14))) + timedelta(milliseconds=1)) == [5, 4]
    assert listed(since=datetime(1, 1, 1, tzinfo=UTC), triggers=[Trigger.SCHEDULE]) == [5, 2]


def test_run_is_updated_and_found_by_its_key(catalog: Catalog) -> None:
    """A run is found in its latest state by its id or its Idempotency-Key; an unknown key finds none."""
    first = run("1")
    catalog.runs.add(first, idempotency_key="k")
    ended = first.model_copy(update={"state": RunState.FAILED, "finished_at": first.created_at + timedelta(1)})
    catalog.runs.update(ended)
    assert catalog.runs.get("1") == catalog.runs.get_by_key("k", first.request) == ended
    catalog.runs.update(first)  # a progress that comes too late
    assert catalog.runs.get("1") == ended, "what has ended stays so"
    assert catalog.runs.get("2") is catalog.runs.get_by_key("l", first.request) is None
    with pytest.raises(sa.exc.IntegrityError):
        catalog.runs.add(run("2"), idempotency_key="k")


def test_idempotency_keys_expire(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key expires after a day and may be used again; beyond the limit the oldest are deleted."""
    asked = run("1")
    catalog.runs.add(asked, idempotency_key="old")
    with catalog._engine.begin() as connection:
        connection.execute(sa.text("UPDATE run_key SET made_at = made_at - 86400"))
    assert catalog.runs.get_by_key("old", asked.request) is None
    catalog.runs.add(run("2"), idempotency_key="old")
    assert catalog.runs.get_by_key("old", asked.request) == run("2")

    monkeypatch.setattr(run_log, "_MAX_KEYS", 2)
    for key in "abcd":
        with catalog._engine.begin() as connection:
            connection.execute(sa.text("UPDATE run_key SET made_at = made_at - 1"))
        catalog.runs.add_key("1", key, asked.request)
    with catalog._engine.connect() as connection:
        assert set(connection.scalars(sa.text("SELECT key FROM run_key"))) == {"c", "d"}


def test_old_runs_are_deleted_unless_unfinished(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest runs are kept, up to a limit; an unfinished one is never deleted."""
    monkeypatch.setattr(run_log, "_MAX_RUNS", 3)
    for number in range(6):
        catalog.runs.add(run(f"{number}", state=RunState.QUEUED if number == 1 else RunState.SUCCEEDED))
    assert [found.id for found in catalog.runs.page()] == ["5", "4", "3", "1"]


def test_fact_returns_its_last_value(catalog: Catalog) -> None:
    """A fact returns its last stored value; an unknown one returns none."""
    assert catalog.recall(Fact.PAUSED) is None
    for said in ("yes", "no"):
        catalog.remember(Fact.PAUSED, said)
    assert catalog.recall(Fact.PAUSED) == "no"


def test_adopted_tree_is_stored_atomically(catalog: Catalog, catalog_url: str) -> None:
    """A catalog that adopts a tree has its id and its projects, or neither."""
    with pytest.raises((OverflowError, sa.exc.SQLAlchemyError)):
        catalog.adopt_tree("tree", [ProjectRow(SIX), ProjectRow(IDNA, serial=2**70)])
    assert catalog.projects.get(SIX) is None
    assert catalog.recall(Fact.MIRROR_ID) == catalog.mirror_id != "tree"
    catalog.adopt_tree("tree", [ProjectRow(SIX)])
    again = Catalog(catalog_url)
    assert (again.mirror_id, catalog.mirror_id, again.projects.get(SIX)) == ("tree", "tree", ProjectRow(SIX))
    again.close()
