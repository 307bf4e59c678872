"""The dependencies in a plan: the closure as the next sync would resolve it, by why, with what is unmet."""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from packaging.utils import NormalizedName

from mirror_contract import UnmetReason
from mirror_contract.distributions import read_version
from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.closure.demands import Demands, Required
from mirror_syncer.closure.limits import exceeded
from mirror_syncer.closure.origin import Origin, origin_of
from mirror_syncer.closure.project import Project
from mirror_syncer.closure.resolution import resolve_with_demands
from mirror_syncer.config import Policy
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.locks import Pin
from mirror_syncer.config.policy.closure import Closure, Unmet
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import MirrorError
from mirror_syncer.upstream import Index
from mirror_syncer.volume import AnyView


@dataclass(slots=True)
class Contents:
    """How much is kept for one kind of reason."""

    projects: int = 0
    """A project counts once, for its strongest reason."""
    releases: int = 0
    files: int = 0
    bytes: int = 0
    """As far as upstream's pages give sizes."""


@dataclass(frozen=True, slots=True)
class PlannedRequirement:
    """A requirement of a release, and whether the mirror meets it."""

    requirement: str
    machines: tuple[str, ...]
    """Where it counts; empty: on all of them."""
    met_by: tuple[str, ...]
    """The releases that meet it, the newest first."""
    here: bool
    """One of them is published already."""
    missing: tuple[str, ...]
    """Why it is not met, one sentence for each reason."""


@dataclass(frozen=True, slots=True)
class PlannedRelease:
    """A release of a project, why it is on the mirror, and what it requires."""

    version: str
    chain: str
    requires: tuple[PlannedRequirement, ...]


@dataclass(frozen=True)
class PlannedDependencies:
    """The closure of the next sync."""

    policy: Policy
    """With the closure."""
    closure: Closure
    demands: Demands | None
    """None: only the last closure is known."""
    asked: bool
    """Upstream was asked."""
    exceeded: tuple[str, ...] = ()
    """The limits that stop a sync."""

    @property
    def failed(self) -> bool:
        """Whether a sync would stop, or report a line or a project."""
        if self.asked:
            return bool(self.exceeded or self.unknown or self.reported)
        return bool(self.exceeded or (self.reported and not self.unknown_projects))

    @cached_property
    def unknown(self) -> tuple[Unmet, ...]:
        """What could not be looked at: upstream failed, or was not asked."""
        return tuple(one for one in self.closure.unmet if one.reason is UnmetReason.FAILED)

    @cached_property
    def unknown_projects(self) -> frozenset[NormalizedName]:
        """The projects about which something is not known."""
        projects = {} if self.demands is None else self.demands.projects
        without_page = {name for name, project in projects.items() if project.error is not None}
        return frozenset(without_page | {one.project for one in self.unknown})

    @cached_property
    def reported(self) -> tuple[Unmet, ...]:
        """The lines and groups that have no proof."""
        return tuple(one for one in self.closure.unmet if one.reason is UnmetReason.NO_PROOF)

    @cached_property
    def unmet(self) -> tuple[Unmet, ...]:
        """The requirements that the mirror does not meet."""
        return tuple(
            one
            for one in self.closure.unmet
            if one.reason not in (UnmetReason.FAILED, UnmetReason.NO_PROOF, UnmetReason.UNKNOWN)
        )

    @cached_property
    def contents(self) -> Mapping[Origin, Contents]:
        """What is kept, by why; without files and bytes where only the last closure is known."""
        found = {origin: Contents() for origin in Origin}
        for origins in self._origins():
            strongest = min((origin for origin, _, _ in origins), key=list(Origin).index, default=None)
            if strongest is not None:
                found[strongest].projects += 1
            for origin, files, size in origins:
                found[origin].releases += 1
                found[origin].files += files
                found[origin].bytes += size
        for name in self.policy.pins.keys() - self.closure.projects.keys():
            found[Origin.LOCK].projects += 1
            found[Origin.LOCK].releases += len(self.policy.pins[name])
        return {origin: contents for origin, contents in found.items() if contents.projects or contents.releases}

    def _origins(self) -> Iterator[list[tuple[Origin, int, int]]]:
        """Yield for each project why its releases are kept, each with its files and bytes."""
        if self.demands is None:
            for closed in self.closure.projects.values():
                yield [(origin_of(chain), 0, 0) for chain in closed.chains.values()]
            return
        for name in self.closure.projects:
            project = self.demands.projects[name]
            found = []
            for release, _ in project.releases():
                files = project.files(release)
                found.append(
                    (_origin_of(release, project, self.policy), len(files), sum(file.size or 0 for file in files))
                )
            yield found

    def releases(self, name: NormalizedName) -> tuple[PlannedRelease, ...]:
        """Return the releases of a project, the newest first; of a closure that is only known, without requirements."""
        closed = self.closure.projects.get(name)
        if closed is None:
            return ()
        if self.demands is None:
            kept = self.policy.kept_chains(name)
            return tuple(PlannedRelease(str(version), chain, ()) for version, chain in kept.items())
        requires: dict[str, list[Required]] = {}
        for required in self.demands.required():
            if required.requirer.project == name:
                requires.setdefault(required.requirer.version, []).append(required)
        project = self.demands.projects[name]
        return tuple(
            PlannedRelease(
                str(version),
                self._chain_of(release, project),
                tuple(self._requirement(required) for required in requires.get(str(version), ())),
            )
            for release, version in project.releases()
        )

    def _chain_of(self, release: Release, project: Project) -> str:
        if _origin_of(release, project, self.policy) is Origin.LOCK and (pin := _pin_of(release, project, self.policy)):
            return f"{pin.source} pins it"
        return project.requirers[release].chain if release in project.requirers else "it was published before"

    def _requirement(self, required: Required) -> PlannedRequirement:
        assert self.demands is not None
        need, by = required.need, required.requirer
        project = self.demands.projects.get(need.name)
        kept = () if project is None else (version for _, version in project.releases())
        meets = [version for version in kept if need.specifier.contains(version, prereleases=True)]
        here = {read_version(need.name, filename) for filename in (project.on_disk if project else ())}
        missing = (
            one.message
            for one in self.closure.unmet
            if (one.project, one.version, one.requirement) == (by.project, by.version, need.text)
        )
        everywhere = required.machines == self.demands.everyone
        return PlannedRequirement(
            need.text,
            () if everywhere else self.demands.names(required.machines),
            tuple(map(str, meets)),
            any(version in here for version in meets),
            tuple(dict.fromkeys(missing)),
        )

    def document(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return {
            "projects": len(self.closure.projects),
            "by": {origin.value: asdict(contents) for origin, contents in self.contents.items()},
            "unmet": [_unmet_document(one) for one in self.unmet],
            "unproved": [_unmet_document(one) for one in self.reported],
            "unknown": [_unmet_document(one) for one in self.unknown],
            "exceeded": list(self.exceeded),
        }


def release_document(release: PlannedRelease) -> dict[str, Any]:
    """Return a release as JSON types."""
    return {"version": release.version, "chain": release.chain, "requires": [asdict(one) for one in release.requires]}


def _unmet_document(one: Unmet) -> dict[str, Any]:
    return {
        "project": one.project,
        "version": one.version,
        "requirement": one.requirement,
        "machines": list(one.machines),
        "reason": one.reason.value,
        "message": one.message,
    }


def _origin_of(release: Release, project: Project, policy: Policy) -> Origin:
    """Return why a release is kept; a lock counts where nothing else keeps it."""
    requirer = project.requirers.get(release)
    origin = Origin.OTHER if requirer is None else origin_of(requirer.chain)
    if origin is Origin.OTHER and _pin_of(release, project, policy) is not None:
        return Origin.LOCK
    return origin


def _pin_of(release: Release, project: Project, policy: Policy) -> Pin | None:
    """Return the pin that keeps a release, if one does."""
    files = project.files(release)
    pins = policy.pins.get(project.name, ())
    return next((pin for pin in pins if any(pin.keeps(release.version, file.sha256) for file in files)), None)


async def plan_dependencies(
    settings: Settings,
    policy: Policy,
    *,
    catalog: Catalog,
    view: AnyView,
    index: Index | None,
    refreshed: Collection[NormalizedName],
) -> PlannedDependencies:
    """
    Resolve the closure as the next sync would, and store nothing.

    Without upstream it stands on what is stored here; where that does not suffice, it is the last closure.

    Args:
        policy: with the last closure.
        index: None: upstream is not asked.
        refreshed: the projects whose pages the sync requests first.

    Raises:
        MirrorError: a proof needs something that upstream did not deliver.
    """
    source = await asyncio.to_thread(
        ClosureSource.without_storing,
        settings,
        catalog=catalog,
        view=view,
        index=index,
        refreshed=() if index is None else refreshed,
    )
    try:
        async with source:
            closure, demands = await resolve_with_demands(policy, source=source, now=int(time.time()))
    except MirrorError:
        if index is not None or policy.closure is None:
            raise
        return PlannedDependencies(policy, policy.closure, None, asked=False)
    return PlannedDependencies(
        replace(policy, closure=closure),
        closure,
        demands,
        asked=index is not None,
        exceeded=tuple(exceeded(policy.limits, closure)),
    )
