"""The witnesses: for each line and group, on each machine, releases that can be installed together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from operator import attrgetter
from typing import Any, TypeVar

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.demands import Demands
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.project import Project, Requirer, bits
from mirror_syncer.closure.proof import verify
from mirror_syncer.closure.refutation import Refutation
from mirror_syncer.closure.releases import Candidate, Need
from mirror_syncer.closure.solver import solve
from mirror_syncer.closure.version_sets import VersionMemory
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.policy.closure import Proof, Unmet, UnmetReason
from mirror_syncer.config.policy.roots import Root
from mirror_syncer.errors import AbandonedError, MirrorError

T = TypeVar("T")
_SHOWN = 3  # machines in a message
_BOTH_INSTALLERS = 0b11
_CANCELLED = "the resolution was cancelled"
Assignment = dict[NormalizedName, Version]


class _UnusableError(Exception):
    """pip passes over a release that was tried, or its metadata cannot be had; the search starts again without it."""


class _Waits:
    """
    What the solver's thread waits for; it ends when the resolution is cancelled, though a thread cannot be.

    Args:
        loop: runs what is waited for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_cancelled = False
        self._current: Future[Any] | None = None

    def check(self) -> None:
        """Raise ``AbandonedError`` if the resolution was cancelled."""
        if self._is_cancelled:
            raise AbandonedError(_CANCELLED)

    def result_of(self, action: Callable[[], Awaitable[T]]) -> T:
        """
        Run a coroutine in the event loop, and return its result. Blocks.

        Raises:
            AbandonedError: the resolution was cancelled.
        """

        async def run() -> T:
            self.check()
            return await action()

        self.check()
        self._current = future = asyncio.run_coroutine_threadsafe(run(), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise AbandonedError(_CANCELLED) from None

    def cancel(self) -> None:
        """End what is waited for, and let nothing else be; called in the event loop."""
        self._is_cancelled = True
        if self._current is not None:
            self._current.cancel()


class Witnesses:
    """
    Proves subjects on machines.

    Args:
        demands: followed; a proof looks further where it must.
    """

    def __init__(self, demands: Demands, environments: Environments) -> None:
        self.demands = demands
        self.everywhere = environments.everyone
        machines = environments.default_proof_machines
        self.is_own = machines == environments.machines
        """Whether these are the machines of ``mirror.toml``, as the releases were fitted to."""
        self.environments = environments if self.is_own else Environments(machines)
        self._fits = compatibility(machines)
        self._assignments: dict[str, list[Assignment]] = {}
        """Of each subject, those that were found: most machines share one."""
        self._client_masks: dict[Release, tuple[int, int]] = {}
        self._memory = VersionMemory()
        self.waits = _Waits(asyncio.get_running_loop())
        self.proofs: list[Proof] = []
        self.refuted: list[Unmet] = []

    async def prove(self, roots: Sequence[Root]) -> bool:
        """
        Prove each subject on each machine where it counts; return whether a proof needs a release that is not kept.

        Those releases are demanded, and are to be followed.
        """
        self.proofs.clear()
        self.refuted.clear()
        grown = False
        for root in sorted(roots, key=attrgetter("subject")):
            refutations: dict[Refutation, int] = {}
            for machine in bits(self.environments.everyone):
                needs = [need for need in root.requirements if self.environments.counts(need.marker) & machine]
                if not any(self._has_release(need, machine) for need in needs):
                    continue  # nothing of it fits the machine, or all of it waits: its project's state says so
                releases = _Releases(self, machine)
                try:
                    found = await asyncio.to_thread(self._assign, root.subject, needs, releases)
                except asyncio.CancelledError:
                    self.waits.cancel()
                    raise
                if isinstance(found, Refutation):
                    refutations[found] = refutations.get(found, 0) | machine
                else:
                    grown |= self._keep(root, machine, found)
            for refutation, where in refutations.items():
                name, names = min(one.name for one in root.requirements), self._fits.names(where)
                self.refuted.append(
                    Unmet(
                        name,
                        "",
                        root.subject,
                        names,
                        UnmetReason.NO_PROOF,
                        refutation.message(
                            ", ".join(names[:_SHOWN])
                            + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
                        ),
                    )
                )
        return grown

    def _has_release(self, need: Need, machine: int) -> bool:
        """Return whether any selected release of a project fits a machine."""
        project = self.demands.projects.get(need.name)
        return project is not None and any(self.clients(release)[0] & machine for release, _ in project.releases())

    def _assign(self, subject: str, needs: Sequence[Need], releases: "_Releases") -> Assignment | Refutation:
        """Return releases that satisfy needs, or the words why there are none."""
        known = self._assignments.setdefault(subject, [])
        for assignment in known:
            reduced = releases.reduce(assignment, needs)
            if reduced is not None and not verify(reduced, needs, releases):
                return reduced
        while True:
            try:
                found = solve(needs, releases, memory=self._memory)
            except _UnusableError:
                continue
            break
        if isinstance(found, Refutation):
            return found
        assignment = dict(found.assignment)
        known.append(assignment)
        return assignment

    def clients(self, release: Release) -> tuple[int, int]:
        """Return the clients that can install a release, and those that can if its yanked files count."""
        if self.is_own:
            return release.clients, release.yanked_clients
        known = self._client_masks.get(release)
        if known is None:
            masks = [0, 0]
            for file, installers in release.candidates:
                masks[bool(file.yanked)] |= self._fits.fits(file.filename, installers, file.requires_python)
            known = self._client_masks[release] = (masks[0], masks[1])
        return known

    def _keep(self, root: Root, machine: int, assignment: Assignment) -> bool:
        """Note a proof, and demand what it needs beyond what is kept."""
        (name,) = self._fits.names(machine)
        witness = Requirer(f"witness of {root.subject} on {name}")
        grown = False
        for project_name, version in assignment.items():
            project = self.demands.projects.get(project_name)
            if project is None or not _keeps(project, version):
                self.demands.keep(project_name, version, machine if self.is_own else self.everywhere, witness)
                grown = True
        texts = {project_name: str(version) for project_name, version in sorted(assignment.items())}
        self.proofs.append(Proof(root.subject, name, texts))
        return grown


class _Releases:
    """What may be installed on one machine, for the solver, which runs in a thread and waits for what is fetched."""

    def __init__(self, witnesses: Witnesses, machine: int) -> None:
        self._demands = witnesses.demands
        self._environments = witnesses.environments
        self._clients = witnesses.clients
        self._asked = machine if witnesses.is_own else witnesses.demands.masks(witnesses.everywhere) or _BOTH_INSTALLERS
        """The clients that a missing release is missing for."""
        self._machine = machine
        self._waits = witnesses.waits

    def versions(self, name: NormalizedName) -> list[Candidate]:
        """Return the releases that pip can install on the machine."""
        project = self._project(name)
        if project.candidates is None:
            return []
        kept, found = {version for _, version in project.releases()}, list[Candidate]()
        passed_over = project.unusable | project.unread.keys()
        for release in project.candidates.releases:
            clients, yanked = (mask & self._machine for mask in self._clients(release))  # a machine's pip has its bit
            version = release.version
            if version is not None and (clients or yanked) and version not in passed_over:
                found.append(Candidate(version, is_kept=version in kept, is_yanked=not clients))
        return found

    def all_versions(self, name: NormalizedName) -> list[Version]:
        """Return the versions that the machine may install, at which pip looks before it judges pre-releases."""
        candidates = self._project(name).candidates
        if candidates is None:
            return []
        found = ((one.version, self._clients(one)) for one in candidates.releases)
        return [version for version, (clients, yanked) in found if version and (clients | yanked) & self._machine]

    def needs(self, name: NormalizedName, version: Version) -> list[Need]:
        """Return what a release requires with all its extras, each requirement with its marker."""
        project = self._project(name)
        if version not in project.requirements:
            release = _release(project, version)
            try:
                self._waits.result_of(lambda: self._demands.read_release(project, release))
            except AbandonedError:
                raise
            except MirrorError as error:
                project.unread[version] = str(error)
                raise _UnusableError from error
            if version in project.unusable:
                project.note_try([release])
                raise _UnusableError
        return [need for one in project.requirements[version] for need in one.needs]

    def extras(self, name: NormalizedName, version: Version) -> set[str]:
        """Return the extras that a release offers."""
        return {extra for one in self._project(name).requirements.get(version, ()) for extra in one.extras}

    def counts(self, need: Need, extra: str | None) -> bool:
        """Return whether a requirement counts on the machine with an extra."""
        return bool(self._environments.counts(need.marker, extra=extra) & self._machine)

    def why_none(self, name: NormalizedName, specifier: SpecifierSet) -> str:
        """Return why no release of a project is among the candidates."""
        project = self._project(name)
        if project.error is not None:
            return project.error
        if project.candidates is None:
            return "upstream has no such project"
        return project.candidates.why_none(specifier, self._asked)[1]

    def reduce(self, assignment: Assignment, needs: Iterable[Need]) -> Assignment | None:
        """Return the part of an assignment that needs reach on this machine; None if it lacks a project."""
        reduced: Assignment = {}
        seen = set[tuple[NormalizedName, str | None]]()
        left = [(need, None) for need in needs]
        while left:
            need, _ = left.pop()
            version = assignment.get(need.name)
            if version is None or not any(one.version == version for one in self.versions(need.name)):
                return None
            reduced[need.name] = version
            for extra in (None, *need.extras):
                if (need.name, extra) not in seen:
                    seen.add((need.name, extra))
                    left += [(one, None) for one in self.needs(need.name, version) if self.counts(one, extra)]
        return reduced

    def _project(self, name: NormalizedName) -> Project:
        self._waits.check()
        project = self._demands.projects.get(name)
        if project is not None and (project.candidates is not None or project.error is not None):
            return project
        return self._waits.result_of(lambda: self._demands.look_at(name))


def _keeps(project: Project, version: Version) -> bool:
    return any(kept == version for _, kept in project.releases())


def _release(project: Project, version: Version) -> Release:
    assert project.candidates is not None
    return next(one for one in project.candidates.releases if one.version == version)
