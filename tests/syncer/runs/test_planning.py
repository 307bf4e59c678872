"""The plan of a sync: laws that hold for every policy and every catalog."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.config import Policy, Removal, Selection, VersionRule
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.runs.sync.plan import Plan, plan_sync

law = settings(max_examples=100)
NAMES = tuple(NormalizedName(f"p{number}") for number in range(12))
names = st.sampled_from(NAMES)
rows = st.dictionaries(
    names,
    st.builds(
        ProjectRow,
        name=names,
        state=st.sampled_from(ProjectState),
        published=st.booleans(),
        checked_at=st.none() | st.integers(0, 100),
        error=st.none() | st.just("it broke"),
    ),
).map(lambda found: {name: dataclasses.replace(row, name=name) for name, row in found.items()})
policies = st.builds(
    lambda selected, floor, guard: policy(*selected, floor=floor, guard=guard),
    st.lists(names, unique=True),
    st.integers(0, 3),
    st.sampled_from((0.0, 0.1, 0.5)),
)


def policy(*selected: str, floor: int = 50, guard: float = 0.01) -> Policy:
    """Return a policy that selects these projects."""
    projects = {NormalizedName(name): Selection(name, (VersionRule(SpecifierSet(), None),)) for name in selected}
    return Policy(projects=projects, removal=Removal(floor=floor, guard=guard))


def published(count: int) -> dict[NormalizedName, ProjectRow]:
    """Return this many published projects."""
    rows = (ProjectRow(NormalizedName(f"p{number}"), published=True) for number in range(count))
    return {row.name: row for row in rows}


def refreshed(plan: Plan) -> list[NormalizedName]:
    """Return the projects that the plan refreshes."""
    return [step.name for step in plan.refresh]


@law
@given(policies, rows, st.none() | st.integers(0, 100), st.none() | st.integers(0, 12))
def test_whole_plan_covers_every_project(
    policy: Policy, rows: dict[NormalizedName, ProjectRow], since: int | None, allow: int | None
) -> None:
    """Every selected project is refreshed or kept; every other published project is withdrawn or withheld."""
    plan = plan_sync(policy, rows, since=since, allow_removals=allow)
    assert sorted([*refreshed(plan), *plan.keep]) == sorted(policy.projects)
    leaving = [name for name, row in rows.items() if row.published and name not in policy.projects]
    assert sorted([*plan.withdraw, *plan.withheld]) == sorted(leaving)
    assert plan.unselected == ()
    assert plan == plan_sync(policy, rows, since=since, allow_removals=allow), "a plan is a pure function"


@law
@given(policies, rows, st.none() | st.integers(0, 12))
def test_guard_allows_all_removals_or_none(
    policy: Policy, rows: dict[NormalizedName, ProjectRow], allow: int | None
) -> None:
    """The guard allows all removals or none, subtracts them from its allowance once, and never stops a refresh."""
    plan = plan_sync(policy, rows, allow_removals=allow)
    assert not (plan.withdraw and plan.withheld)
    count = sum(row.published for row in rows.values())
    allowed = policy.removal.allowed(count) if allow is None else allow
    assert len(plan.withdraw) + plan.allowance == allowed
    assert plan.allowance >= 0
    assert not plan.withheld or len(plan.withheld) > allowed
    freely = plan_sync(policy, rows, allow_removals=len(rows))
    assert (freely.refresh, freely.withheld) == (plan.refresh, ())


@law
@given(policies, rows, st.lists(names, max_size=6), st.none() | st.integers(0, 100))
def test_plan_of_named_projects_removes_nothing(
    policy: Policy, rows: dict[NormalizedName, ProjectRow], only: list[NormalizedName], since: int | None
) -> None:
    """A plan of named projects refreshes or keeps each selected one, lists the others, and removes nothing."""
    plan = plan_sync(policy, rows, only=only, since=since)
    assert sorted([*refreshed(plan), *plan.keep, *plan.unselected]) == sorted(set(only))
    assert all((name in policy.projects) is (name not in plan.unselected) for name in only)
    assert plan.withdraw == plan.withheld == ()
    assert {step.priority for step in plan.refresh} <= {Priority.NAMED}


@law
@given(policies, rows, st.integers(1, 100))
def test_plan_of_an_interrupted_run_keeps_finished_projects(
    policy: Policy, rows: dict[NormalizedName, ProjectRow], since: int
) -> None:
    """The plan of a resumed run keeps projects that became current since its start, and refreshes all others."""
    plan = plan_sync(policy, rows, since=since)
    for name in policy.projects:
        row = rows.get(name, ProjectRow(name))
        assert (name in plan.keep) is (row.state is ProjectState.CURRENT and (row.checked_at or 0) > since)
    assert plan_sync(policy, rows).keep == ()


def test_plan_puts_urgent_projects_first() -> None:
    """A plan puts projects that lack files first, then rechecks, then new and failing projects."""
    known = {
        "current": ProjectRow(NormalizedName("current"), state=ProjectState.CURRENT),
        "partial": ProjectRow(NormalizedName("partial"), state=ProjectState.PARTIAL),
        "failing": ProjectRow(NormalizedName("failing"), state=ProjectState.FAILING, error="it broke"),
    }
    plan = plan_sync(policy("new", "current", "failing", "partial"), {row.name: row for row in known.values()})
    assert [(step.name, step.priority, step.reason) for step in plan.refresh] == [
        ("partial", Priority.RETRY, "partial"),
        ("current", Priority.RECHECK, "look for changes"),
        ("new", Priority.BACKLOG, "new in mirror.toml"),
        ("failing", Priority.BACKLOG, "failing: it broke"),
    ]


@pytest.mark.parametrize(
    ("count", "leaving", "allow", "withheld"),
    [
        (100, 50, None, False),  # 50 are always allowed
        (100, 51, None, True),
        (60, 51, 51, False),  # confirmed
        (60, 60, 51, True),  # more than confirmed
        (60, 1, 0, True),  # no removal is allowed
        (10_000, 100, None, False),  # 1 %
        (10_000, 101, None, True),
    ],
)
def test_guard_limit_at_its_bounds_is_exact(count: int, leaving: int, allow: int | None, *, withheld: bool) -> None:
    """A run may remove 1 % of the projects, or if more, the smaller of 50 and half; or the confirmed number."""
    rows = published(count)
    staying = list(rows)[leaving:]
    plan = plan_sync(policy(*staying), rows, allow_removals=allow)
    assert (len(plan.withheld), len(plan.withdraw)) == ((leaving, 0) if withheld else (0, leaving))


def test_unpublished_projects_do_not_count_for_the_guard() -> None:
    """The guard ignores projects that are not published."""
    rows = {name: dataclasses.replace(row, published=False) for name, row in published(60).items()}
    plan = plan_sync(policy("p0", floor=0), rows)
    assert (refreshed(plan), plan.withdraw, plan.withheld) == (["p0"], (), ())
