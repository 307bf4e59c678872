"""The witnesses: for each line and group, on each machine, releases that can be installed together."""

import asyncio
from collections.abc import Callable, Sequence
from operator import attrgetter

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract import UnmetReason
from mirror_syncer.closure.client_masks import bits
from mirror_syncer.closure.demands import Demands
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.machine_releases import (
    InstallableReleases,
    MachineReleases,
    UnusableError,
    reduce_to_reached,
)
from mirror_syncer.closure.origin import WITNESS, Requirer
from mirror_syncer.closure.patience import Patience
from mirror_syncer.closure.project import Project
from mirror_syncer.closure.proof import verify
from mirror_syncer.closure.refutation import Refutation
from mirror_syncer.closure.releases import Releases, is_pin
from mirror_syncer.closure.solver import solve
from mirror_syncer.closure.version_sets import VersionMemory
from mirror_syncer.closure.waits import Waits
from mirror_syncer.closure.wheel_releases import TooFarError, WheelReleases, built
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.machines.listing import listed
from mirror_syncer.config.policy.closure import Proof, Unmet
from mirror_syncer.config.policy.roots import Root
from mirror_syncer.model.need import Need

_BOTH_INSTALLERS = 0b11
_MAX_AVOIDING_SEARCHES = 3  # a release with a wheel may require something that is built in turn
Assignment = dict[NormalizedName, Version]


class Witnesses:
    """
    Proves lines and groups, each by itself and machine by machine.

    Args:
        demands: followed; a proof looks further where it must.
        patience: for all proofs of a resolution.
    """

    def __init__(self, demands: Demands, environments: Environments, *, patience: Patience | None = None) -> None:
        self.demands = demands
        self.everywhere = environments.everyone
        machines = environments.default_proof_machines
        self.is_own = machines == environments.machines
        """Whether these are the machines of ``mirror.toml``, as the releases were fitted to."""
        self.environments = environments if self.is_own else Environments(machines)
        self._fits = compatibility(machines)
        self._assignments: dict[str, list[Assignment]] = {}
        """Of each subject, those that were found: most machines share one."""
        self._installable = InstallableReleases(self._fits, are_fitted=self.is_own)
        self._memory = VersionMemory()
        self._waits = Waits(asyncio.get_running_loop())
        self._patience = patience or Patience()
        self._given_up: dict[str, Refutation] = {}
        """By subject, where a proof took too long on some machine."""
        self._builds_anyway: set[str] = set()
        """The subjects for which a search without builds went too far on some machine."""
        self.proofs: list[Proof] = []
        self.refuted: list[Unmet] = []

    async def prove(self, roots: Sequence[Root]) -> bool:
        """
        Prove each subject on each machine where it counts; return whether a proof needs a release that is not kept.

        Those releases are demanded, and are to be followed.
        """
        self.proofs.clear()
        self.refuted.clear()
        machines = list(bits(self.environments.everyone))
        of_machine = {machine: self._releases(machine) for machine in machines}
        grown = False
        for root in sorted(roots, key=attrgetter("subject")):
            refutations: dict[Refutation, int] = {}
            for machine in machines:
                needs = [need for need in root.requirements if self.environments.counts(need.marker) & machine]
                if not any(self._has_release(need, machine) for need in needs):
                    continue  # nothing of it fits the machine, or all of it waits: its project's state says so
                found = await self._in_thread(self._assign_with_wheels, root, needs, of_machine[machine])
                if isinstance(found, Refutation):
                    refutations[found] = refutations.get(found, 0) | machine
                else:
                    grown |= self._keep(root, machine, found)
            self.refuted += (self._refuted(root, refutation, where) for refutation, where in refutations.items())
        return grown

    async def assign(self, root: Root, machine: int) -> Assignment | Refutation:
        """Return releases that satisfy requirements on one machine, kept or not, or the words why there are none."""
        needs = [need for need in root.requirements if self.environments.counts(need.marker) & machine]
        return await self._in_thread(self._assign, root, needs, self._releases(machine))

    async def _in_thread(
        self,
        assign: Callable[[Root, Sequence[Need], MachineReleases], Assignment | Refutation],
        root: Root,
        needs: Sequence[Need],
        releases: MachineReleases,
    ) -> Assignment | Refutation:
        if self._patience.is_over and (refutation := self._given_up.get(root.subject)) is not None:
            return refutation
        try:
            found = await asyncio.to_thread(assign, root, needs, releases)
        except asyncio.CancelledError:
            self._waits.cancel()
            raise
        if isinstance(found, Refutation) and not found.is_proved:
            self._given_up.setdefault(root.subject, found)
        return found

    def _refuted(self, root: Root, refutation: Refutation, machines: int) -> Unmet:
        names = self._fits.names(machines)
        message = refutation.message(listed(names))
        name = min(one.name for one in root.requirements)
        return Unmet(name, "", root.subject, names, UnmetReason.NO_PROOF, message)

    def _releases(self, machine: int) -> MachineReleases:
        asked = machine if self.is_own else self.demands.masks.clients(self.everywhere) or _BOTH_INSTALLERS
        return MachineReleases(
            self.demands, self.environments, self._installable, machine, asked=asked, waits=self._waits
        )

    def _has_release(self, need: Need, machine: int) -> bool:
        """Return whether any selected release of a project fits a machine; a yanked one counts if it is pinned."""
        project = self.demands.projects.get(need.name)
        if project is None:
            return False
        masks = (self._installable.clients(release) for release, _ in project.releases())
        return any((clients | (yanked if is_pin(need.specifier) else 0)) & machine for clients, yanked in masks)

    def _assign_with_wheels(
        self, root: Root, needs: Sequence[Need], releases: MachineReleases
    ) -> Assignment | Refutation:
        """
        Return releases that satisfy needs: such as the machine installs from wheels, if that leads not too far.

        pip and uv take these where they are told to build nothing, because the machine has no compiler.
        """
        first = found = self._assign(root, needs, releases)
        avoided = set[NormalizedName]()
        for _ in range(_MAX_AVOIDING_SEARCHES):
            if isinstance(found, Refutation):
                break
            to_build = built(found, releases)
            if not to_build:
                return found
            if root.subject in self._builds_anyway:
                break
            avoided |= to_build
            try:
                found = self._assign(root, needs, WheelReleases(releases, avoided))
            except TooFarError:
                self._builds_anyway.add(root.subject)
                break
        return first

    def _assign(self, root: Root, needs: Sequence[Need], releases: Releases) -> Assignment | Refutation:
        """Return releases that satisfy needs, or the words why there are none."""
        started = self._patience.clock()
        try:
            return self._seek(root.subject, needs, releases, started)
        finally:
            self._patience.note(self._patience.clock() - started)

    def _seek(self, subject: str, needs: Sequence[Need], releases: Releases, started: float) -> Assignment | Refutation:
        known = self._assignments.setdefault(subject, [])
        for assignment in known:
            reduced = reduce_to_reached(assignment, needs, releases)
            if reduced is not None and not verify(reduced, needs, releases):
                return reduced
        limit = self._patience.limit
        while True:
            try:
                found = solve(needs, releases, limit=limit, memory=self._memory, started=started)
            except UnusableError:
                continue
            break
        if isinstance(found, Refutation):
            return found
        assignment = dict(found.assignment)
        known.append(assignment)
        return assignment

    def names(self, clients: int) -> tuple[str, ...]:
        """Return the names of the machines of some clients."""
        return self._fits.names(clients)

    def clients(self, release: Release) -> tuple[int, int]:
        """Return the clients that can install a release, and those that can if its yanked files count."""
        return self._installable.clients(release)

    def _keep(self, root: Root, machine: int, assignment: Assignment) -> bool:
        """Note a proof, and demand what it needs beyond what is kept."""
        (name,) = self._fits.names(machine)
        witness = Requirer(f"{WITNESS}{root.subject} on {name}")
        grown = False
        for project_name, version in assignment.items():
            project = self.demands.projects.get(project_name)
            if project is None or not _keeps(project, version):
                self.demands.demand_release(project_name, version, machine if self.is_own else self.everywhere, witness)
                grown = True
        texts = {project_name: str(version) for project_name, version in sorted(assignment.items())}
        self.proofs.append(Proof(root.subject, name, texts))
        return grown


def _keeps(project: Project, version: Version) -> bool:
    return any(kept == version for _, kept in project.releases())
