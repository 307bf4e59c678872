"""The plan of a sync, as a pure function of the policy and the catalog."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Fingerprints, Policy
from mirror_syncer.config.policy.selection import MIRROR_TOML
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import ProjectRow

_MAX_NAMED = 1_000  # of those that leave: nobody reads more


@dataclass(frozen=True, slots=True)
class Step:
    """One project to refresh, and why."""

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
    forget: tuple[NormalizedName, ...] = ()
    """Never published, and no longer selected."""
    unselected: tuple[NormalizedName, ...] = ()
    """Named by the request, but not by the policy."""
    allowance: int = 0
    """How many more projects may be withdrawn because upstream no longer has them."""


def plan_sync(
    policy: Policy,
    rows: Mapping[NormalizedName, ProjectRow],
    *,
    only: Iterable[NormalizedName] | None = None,
    allow_removals: int | None = None,
    since: int | None = None,
    published: int | None = None,
    replaceable: Collection[NormalizedName] = (),
) -> Plan:
    """
    Plan a sync of the selected projects.

    Args:
        policy: what is wanted.
        rows: every project that the catalog knows.
        only: refresh only these projects, and withdraw none.
        allow_removals: how many removals are allowed, overriding the guard.
        replaceable: projects that leave without the guard: nobody but the shipped example ever named them.
        since: skip projects that became current after this second (Unix time): the run resumes after a restart.
        published: the number of projects that the guard's share is of, see ``DeletionGuard``; by default the published
            ``rows``.
    """

    def selected(name: NormalizedName) -> bool:
        return policy.project(name) is not None

    named = None if only is None else tuple(dict.fromkeys(only))
    wanted = policy.wanted if named is None else tuple(name for name in named if selected(name))
    done = {name for name in wanted if since is not None and _current_since(rows.get(name), since)}
    steps = [_step(name, rows.get(name), policy, named=named is not None) for name in wanted if name not in done]
    leaving = () if named is not None else _leaving(policy, rows)
    judged = tuple(name for name in leaving if name not in replaceable and policy.blocked_names.reason(name) is None)
    if published is None:
        published = sum(row.published for row in rows.values())
    # The guard: a list that an editor cut short, or an upstream that answers 404 to everything, empties no mirror.
    allowed = policy.removal.allowed(published) if allow_removals is None else allow_removals
    held_back = len(judged) > allowed
    withheld = frozenset(judged) if held_back else frozenset()
    return Plan(
        refresh=tuple(sorted(steps, key=lambda step: step.priority)),
        withdraw=tuple(name for name in leaving if name not in withheld),
        withheld=judged if held_back else (),
        keep=tuple(done),
        forget=() if named is not None else _forgotten(policy, rows),
        unselected=() if named is None else tuple(name for name in named if not selected(name)),
        allowance=allowed if held_back else allowed - len(judged),
    )


@dataclass(frozen=True, slots=True)
class Amount:
    """How many projects a sync of the whole index would treat in one way, and why."""

    projects: int
    action: str
    reason: str
    leaving: tuple[NormalizedName, ...] = ()
    """The first thousand of them, if they or their files would leave."""


def everything_amounts(catalog: Catalog, policy: Policy, *, now: int) -> list[Amount]:
    """Return what a sync of the whole index would do by the last list; the deletion guard is not asked yet."""
    known, due = catalog.listing.last(), catalog.due
    if known is None:
        return [Amount(0, "refresh", "upstream's list has not been read yet; the first sync reads it")]
    amounts, shrinking = due.amounts(now=now, first=known.first), due.shrinking()
    absent = due.absent(edition=known.edition, published=True, limit=_MAX_NAMED)
    gone = due.count_absent(edition=known.edition)
    withheld, judged = catalog.withheld.totals(), _count_judged(catalog, policy)
    waiting = f"{withheld.held_files:,} files wait, {withheld.blocked_files:,} are blocked"
    return [
        *(
            [Amount(judged, "judge", "mirror.toml has other rules for them; their stored pages are judged")]
            * (judged > 0)
        ),
        Amount(amounts.changed, "refresh", "changed upstream"),
        Amount(amounts.new, "refresh", "new upstream"),
        Amount(amounts.retried, "refresh", "failed before, and due again"),
        Amount(amounts.backlog, "refresh", "not refreshed yet"),
        Amount(gone, "withdraw", "upstream no longer has it", leaving=tuple(absent)),
        Amount(
            len(shrinking),
            "shrink",
            "upstream no longer has some files, or mirror.toml selects none",
            leaving=tuple(shrinking[:_MAX_NAMED]),
        ),
        Amount(max(0, due.count_listed() - amounts.total), "keep", "no news"),
        *([Amount(withheld.projects, "hold", waiting)] * (withheld.projects > 0)),
    ]


def _count_judged(catalog: Catalog, policy: Policy) -> int:
    """Return how many published projects another policy has judged; of those no longer wanted, the list decides."""
    current = Fingerprints(policy)
    return sum(by != wanted for name, by in catalog.projects.fingerprints() if (wanted := current.of(name)) is not None)


def _current_since(row: ProjectRow | None, since: int) -> bool:
    # Both are whole seconds: an earlier run may have checked the project in the second in which this one began.
    return row is not None and row.state is ProjectState.CURRENT and (row.checked_at or 0) > since


def _step(name: NormalizedName, row: ProjectRow | None, policy: Policy, *, named: bool) -> Step:
    if named:
        return Step(name, Priority.NAMED, "named by a person")
    if row is None:
        return Step(name, Priority.BACKLOG, _new(name, policy))
    if row.is_only_read:
        return Step(name, Priority.RETRY, _new(name, policy))
    if row.state is ProjectState.FAILING:
        # Last: ten bad ones must not look like an upstream that is down.
        return Step(name, Priority.BACKLOG, f"failing: {row.error}")
    if row.state is not ProjectState.CURRENT:
        return Step(name, Priority.RETRY, f"{row.state}: {row.error}" if row.error else str(row.state))
    return Step(name, Priority.RECHECK, "look for changes")


def _new(name: NormalizedName, policy: Policy) -> str:
    """Return why a project is mirrored from now on."""
    wanted = policy.project(name)
    if wanted is not None and wanted.selection.is_required:
        return f"required: {wanted.selection.line}"
    return f"new in {MIRROR_TOML if wanted is None else wanted.selection.where}"


def _leaving(policy: Policy, rows: Mapping[NormalizedName, ProjectRow]) -> tuple[NormalizedName, ...]:
    if policy.awaits_closure:
        return ()
    wanted = frozenset(policy.wanted)
    return tuple(name for name, row in rows.items() if row.published and name not in wanted)


def _forgotten(policy: Policy, rows: Mapping[NormalizedName, ProjectRow]) -> tuple[NormalizedName, ...]:
    if policy.awaits_closure:
        return ()
    wanted = frozenset(policy.wanted)
    return tuple(
        name
        for name, row in rows.items()
        if not row.published and row.state is not ProjectState.WITHDRAWN and name not in wanted
    )
