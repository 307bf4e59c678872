"""The resolution: from what ``mirror.toml`` names to the closure, with its proofs and what is unmet."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName

from mirror_contract import UnmetReason
from mirror_syncer.closure.demands import Demands
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.order import circles, waves
from mirror_syncer.closure.project import Project
from mirror_syncer.closure.source import ABSENT_SECONDS, Source
from mirror_syncer.closure.unmet import UnmetRequirements, VersionsOf, withheld
from mirror_syncer.closure.witnesses import Witnesses
from mirror_syncer.config import Policy
from mirror_syncer.config.policy.closure import Closure, ProjectClosure, Unmet

if TYPE_CHECKING:
    from packaging.version import Version

_MAY_COME = (UnmetReason.NO_PROJECT, UnmetReason.NO_PROOF)  # no sync asks for these pages
_MAX_WITNESS_ROUNDS = 10
"""A witness may require what needs another one; real sets end in the second round."""


async def resolve(policy: Policy, *, source: Source, now: int, lacking: Collection[NormalizedName] = ()) -> Closure:
    """
    Return the closure of a policy's lines and groups.

    It stores nothing itself. What ``source`` has stored stays if the resolution is cancelled.

    Args:
        now: seconds since the epoch.
        lacking: projects with files that could not be downloaded; their releases without all files meet nothing.
    """
    closure, _ = await resolve_with_demands(policy, source=source, now=now, lacking=lacking)
    return closure


async def resolve_with_demands(
    policy: Policy, *, source: Source, now: int, lacking: Collection[NormalizedName] = ()
) -> tuple[Closure, Demands]:
    """Return the closure, and the demands that it was made from, which also know each requirement."""
    environments = Environments(policy.rules.machines)
    demands = Demands(policy, source=source, environments=environments, now=now)
    demands.start()
    await demands.follow()
    witnesses = Witnesses(demands, environments)
    for _ in range(_MAX_WITNESS_ROUNDS):
        if not await witnesses.prove(policy.roots):
            break
        await demands.follow()
    not_on_disk = {
        name: project.not_on_disk() for name in lacking if (project := demands.projects.get(name)) is not None
    }
    withhold = policy.dependencies.withhold_unmet
    unmet, unpublished = _find_unmet(demands, environments, not_on_disk=not_on_disk, withhold=withhold)
    requirers = _requirers(demands)
    graph = _graph(demands, requirers)
    closure = Closure(
        {
            name: replace(_project_closure(demands, project, policy, unpublished), required_by=requirers.get(name, {}))
            for name, project in _kept(demands)
        },
        unmet=(*witnesses.refuted, *unmet),
        proofs=tuple(witnesses.proofs),
        pages=frozenset(demands.projects),
        expires_at=_expiry(demands, (*witnesses.refuted, *unmet), now=now),
        waves=waves(graph),
        circles=circles(graph),
    )
    return closure, demands


def _find_unmet(
    demands: Demands, environments: Environments, *, not_on_disk: VersionsOf, withhold: bool
) -> tuple[list[Unmet], VersionsOf]:
    """Return what is unmet, and the releases that are not published because of it, which may leave more unmet."""
    unpublished: dict[NormalizedName, frozenset[Version]] = {}
    finder = UnmetRequirements(demands, environments, withheld=unpublished, not_on_disk=not_on_disk)
    causes: dict[tuple[NormalizedName, str, str], list[Unmet]] = {}
    found = finder.find()
    while True:
        by_requirement = groupby(found, key=lambda one: (one.project, one.version, one.requirement))
        new = {key: list(entries) for key, entries in by_requirement if key not in causes}
        causes |= new
        grown = {
            name: more
            for name, versions in withheld(one for entries in new.values() for one in entries).items()
            if (more := versions - unpublished.get(name, frozenset()))
        }
        if not (withhold and grown):
            return [one for entries in causes.values() for one in entries], unpublished
        for name, versions in grown.items():
            unpublished[name] = unpublished.get(name, frozenset()) | versions
        found = finder.find_on(grown)


def _kept(demands: Demands) -> list[tuple[NormalizedName, Project]]:
    """Return the projects that upstream has."""
    return [(name, project) for name, project in sorted(demands.projects.items()) if project.candidates is not None]


def _project_closure(demands: Demands, project: Project, policy: Policy, unpublished: VersionsOf) -> ProjectClosure:
    versions = {version for _, version in project.releases()}
    resolved = versions - project.unread.keys() - unpublished.get(project.name, frozenset())
    files = {file.filename: file.size or 0 for release, _ in project.releases() for file in project.files(release)}
    return ProjectClosure(
        project.rules(latest=policy.dependencies.latest, masks=demands.masks),
        resolved=frozenset(map(str, resolved)),
        unusable=frozenset(map(str, project.unusable)),
        chains={
            str(version): by.chain
            for release, version in project.releases()
            if (by := project.requirers.get(release)) is not None
        },
        files=len(files),
        size=sum(files.values()),
    )


def _requirers(demands: Demands) -> dict[NormalizedName, dict[NormalizedName, tuple[str, ...]]]:
    """Return for each required project the requirements on it, by the project whose releases state them."""
    found: dict[NormalizedName, dict[NormalizedName, dict[str, None]]] = {}
    for required in demands.required():
        if (by := required.requirer.project) is not None and required.machines:
            found.setdefault(required.need.name, {}).setdefault(by, {})[required.need.text] = None
    return {name: {by: tuple(texts) for by, texts in sorted(of.items())} for name, of in found.items()}


def _graph(
    demands: Demands, requirers: Mapping[NormalizedName, Mapping[NormalizedName, Collection[str]]]
) -> Mapping[NormalizedName, set[NormalizedName]]:
    graph: dict[NormalizedName, set[NormalizedName]] = {name: set() for name, _ in _kept(demands)}
    for name, of in requirers.items():
        for by in graph.keys() & of.keys():
            graph[by].add(name)
    return graph


def _expiry(demands: Demands, unmet: Iterable[Unmet], *, now: int) -> int | None:
    """
    Return when time alone changes the closure; what upstream lacks may be there in a day.

    Where it rests on what a server said about wheels that are not here, that is at once, so that they are read.
    """
    if any(project.is_read_on_trust for project in demands.projects.values()):
        return now
    times = [project.candidates.expires_at for project in demands.projects.values() if project.candidates is not None]
    if any(one.reason in _MAY_COME for one in unmet):
        times.append(now + ABSENT_SECONDS)
    return min((time for time in times if time is not None), default=None)
