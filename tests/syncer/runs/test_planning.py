"""What a sync would do: laws that hold for every policy and every catalog."""

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
    """Return so many published projects."""
    rows = (ProjectRow(NormalizedName(f"p{number}"), published=True) for number in range(count))
    return {row.name: row for row in rows}


def refreshed(plan: Plan) -> list[NormalizedName]:
    """Return the projects that are looked at."""
    return [step.name for step in plan.refresh]


@law
@given(policies, rows, st.none() | st.integers(0, 100), st.none() | st.integers(0, 12))
def test_whole_plan(
    policy: Policy, rows: dict[NormalizedName, ProjectRow], since: int | None, allow: int | None
) -> None:
    """Every selected project is looked at or done; every published one that is not selected leaves or is withheld."""
    plan = plan_sync(policy, rows, since=since, allow_removals=allow)
    assert sorted([*refreshed(plan), *plan.keep]) == sorted(policy.projects)
    leaving = [name for name, row in rows.items() if row.published and name not in policy.projects]
    assert sorted([*plan.withdraw, *plan.withheld]) == sorted(leaving)
    assert plan.unselected == ()
    assert plan == plan_sync(policy, rows, since=since, allow_removals=allow), "a plan is a pure function"


@law
@given(policies, rows, st.none() | st.integers(0, 12))
def test_the_guard(policy: Policy, rows: dict[NormalizedName, ProjectRow], allow: int | None) -> None:
    """All removals go or none does, what is allowed is used up once, and whatever the guard says, refreshes proceed."""
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
def test_named_projects_alone(
    policy: Policy, rows: dict[NormalizedName, ProjectRow], only: list[NormalizedName], since: int | None
) -> None:
    """A sync of named projects looks at those that are selected, once each, names the others, and removes nothing."""
    plan = plan_sync(policy, rows, only=only, since=since)
    assert sorted([*refreshed(plan), *plan.keep, *plan.unselected]) == sorted(set(only))
    assert all((name in policy.projects) is (name not in plan.unselected) for name in only)
    assert plan.withdraw == plan.withheld == ()
    assert {step.priority for step in plan.refresh} <= {Priority.NAMED}


@law
@given(policies, rows, st.integers(1, 100))
def test_an_interrupted_run_goes_on(policy: Policy, rows: dict[NormalizedName, ProjectRow], since: int) -> None:
    """What became current after the run began is kept; all else is still to do, failures included."""
    plan = plan_sync(policy, rows, since=since)
    for name in policy.projects:
        row = rows.get(name, ProjectRow(name))
        assert (name in plan.keep) is (row.state is ProjectState.CURRENT and (row.checked_at or 0) > since)
    assert plan_sync(policy, rows).keep == ()


def test_the_urgent_come_first() -> None:
    """What lacks files goes before what is only looked at again, and that before what was never there or fails."""
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
    ("there", "leaving", "allow", "withheld"),
    [
        (100, 50, None, False),  # up to fifty always
        (100, 51, None, True),
        (60, 51, 51, False),  # a person said so
        (60, 60, 51, True),  # but not so many
        (60, 1, 0, True),  # or none at all
        (10_000, 100, None, False),  # up to one per cent
        (10_000, 101, None, True),
    ],
)
def test_bounds_of_the_guard(there: int, leaving: int, allow: int | None, *, withheld: bool) -> None:
    """One per cent of the published projects, at least fifty or half of them, may leave in one run; or as allowed."""
    rows = published(there)
    staying = list(rows)[leaving:]
    plan = plan_sync(policy(*staying), rows, allow_removals=allow)
    assert (len(plan.withheld), len(plan.withdraw)) == ((leaving, 0) if withheld else (0, leaving))


def test_a_first_run_has_nothing_to_remove() -> None:
    """Rows that are not published have left already, and count neither for the guard nor against it."""
    rows = {name: dataclasses.replace(row, published=False) for name, row in published(60).items()}
    plan = plan_sync(policy("p0", floor=0), rows)
    assert (refreshed(plan), plan.withdraw, plan.withheld) == (["p0"], (), ())
