"""What a sync would do, as a pure function of the policy and the catalog."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog import ProjectRow
from mirror_syncer.policy import Policy, Removal


class Priority(IntEnum):
    """Which project comes first; all runs share one queue."""

    NAMED = 0  # a person waits for it
    CHANGED = 1
    RETRY = 2
    RECHECK = 4
    BACKLOG = 5  # of a first sync, and of a verify


@dataclass(frozen=True, slots=True)
class Step:
    """One project to look at, and why."""

    name: NormalizedName
    priority: Priority
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sync does to each project."""

    refresh: tuple[Step, ...] = ()
    withdraw: tuple[NormalizedName, ...] = ()
    withheld: tuple[NormalizedName, ...] = ()
    """Removals that the deletion guard holds back."""
    keep: tuple[NormalizedName, ...] = ()
    """Done already by this run, before it was interrupted."""
    unselected: tuple[NormalizedName, ...] = ()
    """Named by the request, and not by the policy."""


def plan_sync(
    policy: Policy,
    rows: Mapping[NormalizedName, ProjectRow],
    *,
    only: Iterable[NormalizedName] | None = None,
    allow_removals: int | None = None,
    since: int | None = None,
) -> Plan:
    """
    Plan a sync of the selected projects.

    Args:
        policy: what is wanted.
        rows: every project that the catalog knows.
        only: these projects alone; nothing is withdrawn then.
        allow_removals: so many removals are allowed, whatever the guard says.
        since: leave out what was looked at from then on (seconds since the epoch): the run goes on after a restart.
    """
    named = None if only is None else tuple(dict.fromkeys(only))
    wanted = tuple(policy.projects) if named is None else tuple(name for name in named if name in policy.projects)
    done = {name for name in wanted if since is not None and name in rows and (rows[name].checked_at or 0) >= since}
    steps = [_step(name, rows.get(name), named=named is not None) for name in wanted if name not in done]
    leaving = () if named is not None else _leaving(policy, rows)
    held_back = len(leaving) > _allowed(policy.removal, rows, allow_removals)
    return Plan(
        refresh=tuple(sorted(steps, key=lambda step: step.priority)),
        withdraw=() if held_back else leaving,
        withheld=leaving if held_back else (),
        keep=tuple(done),
        unselected=() if named is None else tuple(name for name in named if name not in policy.projects),
    )


def _step(name: NormalizedName, row: ProjectRow | None, *, named: bool) -> Step:
    if named:
        return Step(name, Priority.NAMED, "named by a person")
    if row is None:
        return Step(name, Priority.BACKLOG, "new in mirror.toml")
    if row.state is not ProjectState.CURRENT:
        return Step(name, Priority.RETRY, f"{row.state}: {row.error}" if row.error else str(row.state))
    return Step(name, Priority.RECHECK, "look for changes")


def _leaving(policy: Policy, rows: Mapping[NormalizedName, ProjectRow]) -> tuple[NormalizedName, ...]:
    return tuple(name for name, row in rows.items() if row.published and name not in policy.projects)


def _allowed(removal: Removal, rows: Mapping[NormalizedName, ProjectRow], said: int | None) -> int:
    published = sum(row.published for row in rows.values())
    return max(removal.floor, int(removal.guard * published), said or 0)
