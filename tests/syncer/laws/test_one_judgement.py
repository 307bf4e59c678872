"""One judgement: every file has one decision with a reason, and a sync does what its plan said."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import Choice, ProjectState, Run
from mirror_syncer.commands.plan_report import Report
from mirror_syncer.config import Condition, ProjectPolicy, Selection, VersionRule, decide
from mirror_syncer.config.judgement.screening import screen
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.names import Filename, Sha256
from mirror_syncer.model.page import File, Page, ProjectStatus, PublishedPage, Refusal
from syncer.judged import FOO, NOW, aged_files, contents, place, publish, wishes
from syncer.planning import planned
from syncer.site import Site

pytestmark = pytest.mark.proves("reliability/removal")
law = settings(max_examples=300)
VERSIONS = ("1.0", "1.1", "2.0rc1", "2.0", "nothing")


def file(version: str, content: int, day: int, *, yanked: bool = False) -> File:
    """Return a source distribution of a version, with one of several contents."""
    filename = Filename(f"foo-{version}.tar.gz")
    sha256 = Sha256(hashlib.sha256(bytes([content])).hexdigest())
    uploaded = f"2026-01-{day:02}T00:00:00Z"
    return File(filename=filename, url="", sha256=sha256, size=content, upload_time=uploaded, yanked=yanked)


files = st.builds(file, st.sampled_from(VERSIONS), st.integers(1, 2), st.integers(1, 9), yanked=st.booleans())
several = st.lists(files | aged_files, max_size=5, unique_by=lambda one: one.filename).map(tuple)
statuses = st.sampled_from(
    [ProjectStatus.ACTIVE, ProjectStatus.ACTIVE, ProjectStatus.ACTIVE, ProjectStatus.QUARANTINED]
)
refusals = st.lists(st.just(Refusal("foo-9.tar.gz", "no hash")), max_size=1).map(tuple)
pages = st.builds(Page, st.just(FOO), several, refused=refusals, status=statuses, serial=st.integers(1, 3))
published_pages = st.none() | several.map(publish)
lines = st.sampled_from(["", "<2", ">=1.1", "==1.*", "==99"]).map(SpecifierSet)
selections = st.builds(
    Selection,
    line=st.just("foo"),
    rules=st.lists(st.builds(VersionRule, lines, st.none() | st.integers(1, 2)), min_size=1, max_size=2).map(tuple),
    named=st.booleans(),
)
policies = selections.map(ProjectPolicy) | wishes.map(lambda wish: wish.policy)
conditions = st.builds(
    Condition,
    altered=st.booleans(),
    damaged=st.frozensets(st.sampled_from([place(f"foo-{version}.tar.gz") for version in VERSIONS]), max_size=2),
    older_than=st.none() | st.just(4),
    older_since=st.none() | st.sampled_from([NOW - 90_000, NOW - 10]),
    allow_loss=st.booleans(),
)


def is_ours(one: File, published: PublishedPage | None) -> bool:
    """Return whether a file's name is published, with any content."""
    return published is not None and one.filename in published.files


def by_choice(decision: Decision) -> dict[Choice, set[tuple[str, str]]]:
    """Return each decision's files by name and digest."""
    return {
        choice: contents(one.file for one in decision.files if one.choice is choice and one.file) for choice in Choice
    }


@law
@given(pages, published_pages, policies, conditions)
def test_every_file_has_one_decision_and_a_reason(
    page: Page, published: PublishedPage | None, policy: ProjectPolicy, condition: Condition
) -> None:
    """Each content that upstream's page or ours names is decided about once, with a reason."""
    decision = decide(page, published, policy, condition=condition, now=NOW)
    decided = [one for one in decision.files if one.file]
    ours = published.page.files if published else ()
    counted = Counter((one.filename, one.file and one.file.sha256) for one in decided)

    # Of an older page only the restrictions are applied; new files on it wait for a newer page.
    assert contents(ours) <= set(counted)
    if decision.outdated is None:
        assert set(counted) == contents((*page.files, *ours))
    assert set(counted.values()) <= {1}
    assert all(one.reason for one in decision.files)


@law
@given(pages, published_pages, policies, conditions)
def test_decisions_agree_with_what_is_published(
    page: Page, published: PublishedPage | None, policy: ProjectPolicy, condition: Condition
) -> None:
    """Only published files are lost or removed, only unpublished ones dropped, and only kept ones downloaded."""
    decision = decide(page, published, policy, condition=condition, now=NOW)
    found, ours = by_choice(decision), contents(published.page.files if published else ())

    assert found[Choice.LOST] | found[Choice.LEAVING] <= ours
    assert not found[Choice.DROP] & ours
    assert contents(decision.missing) <= found[Choice.KEEP]
    assert contents(decision.served) == found[Choice.KEEP] | found[Choice.LOST]
    assert len({one.filename for one in decision.served}) == len(decision.served)
    if page.status is ProjectStatus.QUARANTINED and decision.problem is None:
        assert not decision.served
    if decision.problem is not None:
        assert (contents(decision.served), found[Choice.LEAVING], decision.missing) == (ours, set(), ())


@law
@given(pages, published_pages, policies, conditions)
def test_file_that_upstream_removed_waits_for_the_guard(
    page: Page, published: PublishedPage | None, policy: ProjectPolicy, condition: Condition
) -> None:
    """A file that only upstream removed stays until the guard allows its removal, unless it is damaged."""
    if page.status is ProjectStatus.QUARANTINED or condition.allow_loss or condition.altered or published is None:
        return
    decision = decide(page, published, policy, condition=condition, now=NOW)
    left_out = {one.filename for one, _ in screen(FOO, decision.page.files, policy, published={}, now=NOW).left_out}
    for one, _ in decision.leaving:
        assert one.filename in left_out or place(one.filename) in condition.damaged


@law
@given(pages, published_pages, policies)
def test_applied_decision_leaves_nothing_to_do(
    page: Page, published: PublishedPage | None, policy: ProjectPolicy
) -> None:
    """After a decision is applied, the next decision is the same, with nothing to download or remove."""
    first = decide(page, published, policy, now=NOW)
    served = {one.filename for one in first.served}
    # If the policy drops our file, whose yank may differ, upstream's other content of that name is judged a sync later.
    if first.problem is not None or any(one.filename not in served for one, _ in first.drop if is_ours(one, published)):
        return
    after = publish(first.served)
    again = decide(page, after, policy, now=NOW)

    assert contents(again.served) == contents(first.served)
    assert (again.missing, again.leaving) == ((), ())


# Against the real sync


@dataclass(frozen=True)
class Change:
    """A change upstream after the first sync."""

    kind: str
    project: str
    pick: int


@dataclass(frozen=True)
class Scenario:
    """A policy, its successor, and the changes upstream between two syncs."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    latest: int | None
    everything: bool
    named: bool
    strict: bool
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]
    changes: tuple[Change, ...]


NAMES = ("six", "idna", "toml")
KINDS = (
    "upload",
    "young",
    "delete file",
    "delete release",
    "replace",
    "yank",
    "quarantine",
    "delete",
    "spoil",
    "hide",
    "stale",
)
RULES = {
    "age": ('min = "7d"', 'min = "7d"\nexempt = ["six"]', "not_after = 2020-01-01", 'min = "1h"\nunknown = "publish"'),
    "block": ('projects = ["six==1.1"]', 'projects = ["toml"]', 'projects = ["i*", "six<2"]'),
    "machines": ('pythons = ["3.12"]\nplatforms = ["linux-x86_64"]', 'sdists = "none"'),
    "files": ('kinds = ["wheel"]', 'kinds = ["sdist"]', "yanked = false", 'max_project_size = "1kB"'),
}
SUFFIXES = ("", "", "<2", ">=1.1", "==99", "<0.1")


@st.composite
def line_sets(draw: st.DrawFn) -> tuple[str, ...]:
    """Draw lines of mirror.toml."""
    names = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    return tuple(f"{name}{draw(st.sampled_from(SUFFIXES))}" for name in sorted(names))


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, ...]:
    """Draw tables of rules, most often none."""
    tables = draw(st.sets(st.sampled_from(sorted(RULES)), max_size=2) | st.just(set[str]()))
    return tuple(f"[{table}]\n{draw(st.sampled_from(RULES[table]))}\n" for table in sorted(tables))


changes = st.builds(Change, st.sampled_from(KINDS), st.sampled_from(NAMES), st.integers(0, 5))
scenes = st.builds(
    Scenario,
    before=line_sets(),
    after=line_sets(),
    latest=st.none() | st.just(1),
    everything=st.booleans(),
    named=st.booleans(),
    strict=st.booleans(),
    rules_before=rules(),
    rules_after=rules(),
    changes=st.lists(changes, max_size=4).map(tuple),
)


def apply_change(pypi: fakepypi.FakePyPI, change: Change, number: int) -> None:
    """Apply the change upstream; a file name is never used twice."""
    project, faults, pick = pypi.index.project(change.project), pypi.faults.on_page(change.project), change.pick
    files, versions = project.files, list(project.releases)
    picked, version = files[pick % len(files)], versions[pick % len(versions)]
    happenings: dict[str, Callable[[], object]] = {
        "upload": lambda: project.upload(f"3.{number}"),
        "young": lambda: project.upload(f"4.{number}", uploaded_at=datetime.now(UTC)),
        "delete file": lambda: project.delete_file(picked.filename),
        "delete release": lambda: project.delete_release(version),
        "replace": lambda: project.upload_file(f"{change.project}-1.0.tar.gz", b"other", version="1.0", replace=True),
        "yank": lambda: project.yank(version),
        "quarantine": project.quarantine,
        "delete": project.delete,
        "spoil": lambda: faults.edit(lambda page: spoil(page, pick)),
        "hide": lambda: faults.edit(lambda page: page.update(files=page["files"][:pick])),
        "stale": faults.stale,
    }
    happenings[change.kind]()


def spoil(page: dict[str, Any], pick: int) -> None:
    """Give an entry of a page an invalid hash."""
    if page["files"]:
        page["files"][pick % len(page["files"])]["hashes"] = {"sha256": "none"}


def add_rules(site: Site, rules: Iterable[str]) -> None:
    """Add tables to mirror.toml."""
    site.policy.write_text("".join((site.policy.read_text(), *rules)))


async def run_scenario(scene: Scenario, directory: Path) -> None:
    """Sync, apply the changes, plan, sync again, and compare the two."""
    async with fakepypi.serve() as pypi:
        site = Site(directory, upstream=pypi.url)
        write = site.everything if scene.everything else site.select
        for name in NAMES:
            for version in ("1.0", "1.1", "2.0"):
                pypi.index.project(name).upload(version, wheel=version != "1.1")
        write(*scene.before, latest=scene.latest, grace="0h")
        add_rules(site, scene.rules_before)
        await site.sync()
        for number, change in enumerate(scene.changes):
            if pypi.index.project(change.project).files:  # deleted and quarantined projects have none
                apply_change(pypi, change, number)
        write(*scene.after, latest=scene.latest, grace="0h", guard="1%" if scene.strict else "100%")
        add_rules(site, scene.rules_after)
        names = sorted({line.rstrip("=<>.0129") for line in scene.after})
        only = names if scene.named or scene.everything else []
        plan, before = await planned(site, *only), {name: site.published(name) for name in site.pages()}
        detailed = plan if only else await planned(site, *names)
        async with site.running() as running:
            run = await running.sync(*only)
            rows = {row.name: row.state for row in running.mirror.catalog.projects.all_rows()}
        compare(plan, run, rows)
        if only:
            compare_files(site, detailed, before)


def compare(plan: Report, run: Run, rows: dict[NormalizedName, ProjectState]) -> None:
    """Compare a plan's totals and actions with the sync's."""
    sums, counts = plan.sums, run.counts
    assert (counts.files_fetched, counts.bytes_fetched) == (sums.fetch_files, sums.fetch_bytes)
    assert counts.files_removed == sums.leaving_files
    assert counts.files_failed == sums.refused_files
    withheld = [one for one in plan.projects if one.action == "withheld" or (one.sums and one.sums.lost_files)]
    assert counts.projects_withheld == len(withheld)
    expected = {
        "refresh": {ProjectState.CURRENT, ProjectState.PARTIAL, ProjectState.BEHIND, ProjectState.WAITING},
        "keep": {ProjectState.CURRENT, ProjectState.PARTIAL, ProjectState.WAITING},
        "failing": {ProjectState.FAILING, ProjectState.WITHDRAWN},
        "behind": {ProjectState.BEHIND},
        "withheld": {ProjectState.BEHIND, ProjectState.PARTIAL, ProjectState.CURRENT},
        "withdraw": {ProjectState.WITHDRAWN},
    }
    for one in plan.projects:
        assert rows[one.name] in expected[one.action], (one.name, one.action, one.reason)


def compare_files(site: Site, plan: Report, before: dict[str, PublishedPage]) -> None:
    """Compare a plan's decisions about files with the pages that the sync published."""
    for one in plan.projects:
        decided = {(d.filename, d.file.sha256): d.choice for d in one.files or () if d.file}
        served = {content for content, choice in decided.items() if choice in (Choice.KEEP, Choice.LOST)}
        ours = contents(before[one.name].page.files if one.name in before else ())
        withheld = {content for content, choice in decided.items() if choice in (Choice.HOLD, Choice.BLOCK)}
        leaving = {content for content, choice in decided.items() if choice is Choice.LEAVING} | (withheld & ours)
        there = contents(site.published(one.name).page.files) if one.name in site.pages() else set()
        assert there == served, one.name
        assert leaving == ours - there, one.name
        if one.name in site.pages() and one.action in ("refresh", "keep"):
            assert {held.filename for held in site.published(one.name).held} == {name for name, _ in withheld}


def run_examples(*, examples: int) -> None:
    """Run this many scenarios, the same ones each time."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(scenes)
    def scene(found: Scenario) -> None:
        with TemporaryDirectory() as directory:
            asyncio.run(run_scenario(found, Path(directory)))

    scene()


def test_sync_does_what_the_plan_said() -> None:
    """For any page, policy and published state, a sync downloads, keeps and removes what the plan before it said."""
    run_examples(examples=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sync_does_what_the_plan_said_many_times() -> None:
    """Many random scenarios give the same result in plan and sync."""
    run_examples(examples=100)
