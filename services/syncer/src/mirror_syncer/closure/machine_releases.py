"""The releases that one machine may install, as a proof asks for them."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.demands import Demands
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.project import Project, metadata_key
from mirror_syncer.closure.releases import Candidate, Releases
from mirror_syncer.closure.requirements import Requirements
from mirror_syncer.closure.waits import Waits
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import Compatibility
from mirror_syncer.errors import AbandonedError, MirrorError, VolumeError
from mirror_syncer.model.need import Need

_USUAL, _YANKED = 1, 2
_WHEEL = ".whl"


class UnusableError(Exception):
    """pip passes over a release that was tried, or its metadata cannot be had; the search starts again without it."""


class _Lists(NamedTuple):
    """A project's lists of candidates, and what they were made from."""

    selected: AbstractSet[Release]
    passed_over: int
    by_machine: dict[int, list[Candidate]]
    by_fit: dict[bytes, list[Candidate]]


class InstallableReleases:
    """
    Which releases pip can install on which machines.

    A proof asks for some ten thousand lists, and most machines have the same ones. So each list is made only once:
    their objects would be most of what Python's garbage collector has to look at.

    Args:
        fits: fits files to the machines.
        are_fitted: whether the releases are fitted to them already.
    """

    def __init__(self, fits: Compatibility, *, are_fitted: bool) -> None:
        self._fits = fits
        self._are_fitted = are_fitted
        self._fitted: dict[NormalizedName, list[tuple[Release, Version, int, int]]] = {}
        self._lists: dict[NormalizedName, _Lists] = {}
        self._wheels: dict[tuple[NormalizedName, Version], int] = {}
        """Which clients install a release from a wheel."""

    def candidates(self, machine: int, project: Project) -> list[Candidate]:
        """Return the releases of a project on a machine; none if upstream has no such project."""
        lists, passed_over = self._lists.get(project.name), len(project.unusable) + len(project.unread)
        if lists is None or lists.selected is not project.selected or lists.passed_over != passed_over:
            lists = self._lists[project.name] = _Lists(project.selected, passed_over, {}, {})
        found = lists.by_machine.get(machine)
        if found is None:
            found = lists.by_machine[machine] = self._list(machine, project, lists.by_fit)
        return found

    def versions(self, machine: int, project: Project) -> list[Version]:
        """Return the versions with a file for a machine, those that a proof has to pass over included."""
        return [version for _, version, clients, yanked in self._fit(project) if (clients | yanked) & machine]

    def stated(self, machine: int, project: Project, version: Version) -> Sequence[Requirements]:
        """Return what a release requires on a machine: what the files say that it may take, if these are known."""
        stated = project.requirements[version]
        by_file = project.requirements_of_files.get(version)
        if by_file is None:
            return stated
        release = next(release for release, found, _, _ in self._fit(project) if found == version)
        files = [
            file
            for file in release.files
            if self._fits.fits(file.filename, release.installers(file), file.requires_python) & machine
        ]
        wheels = [file for file in files if file.filename.endswith(_WHEEL)]
        keys = [metadata_key(file) for file in wheels or files]
        if not all(key in by_file for key in keys):
            return stated
        others = [one for key, one in by_file.items() if key not in keys]
        taken = [by_file[key] for key in keys]
        return [one for one in stated if one in taken or one not in others]

    def has_wheel(self, machine: int, project: Project, version: Version) -> bool:
        """Return whether a release has a wheel for a machine."""
        clients = self._wheels.get((project.name, version))
        if clients is None:
            releases = (release for release, found, _, _ in self._fit(project) if found == version)
            clients = self._wheel_clients(project.name, next(releases), version)
        return bool(clients & machine)

    def _wheel_clients(self, name: NormalizedName, release: Release, version: Version) -> int:
        clients = self._wheels.get((name, version))
        if clients is None:
            clients = 0
            for file in release.files:
                if file.filename.endswith(_WHEEL):
                    clients |= self._fits.fits(file.filename, release.installers(file), file.requires_python)
            self._wheels[name, version] = clients
        return clients

    def _list(self, machine: int, project: Project, known: dict[bytes, list[Candidate]]) -> list[Candidate]:
        fitted = self._fit(project)
        # A machine's pip has its bit.
        fit = bytes(
            _USUAL if clients & machine else _YANKED if yanked & machine else 0 for _, _, clients, yanked in fitted
        )
        if fit not in known:
            passed_over = project.unusable | project.unread.keys()
            known[fit] = [
                Candidate(version, is_kept=release in project.selected, is_yanked=kind == _YANKED)
                for kind, (release, version, _, _) in zip(fit, fitted, strict=True)
                if kind and version not in passed_over
            ]
        return known[fit]

    def _fit(self, project: Project) -> list[tuple[Release, Version, int, int]]:
        """Return each release with the clients that can install it, and those that can if its yanked files count."""
        if project.candidates is None:
            return []
        known = self._fitted.get(project.name)
        if known is None:
            known = self._fitted[project.name] = [
                (release, release.version, *self.clients(release))
                for release in project.candidates.releases
                if release.version is not None
            ]
        return known

    def clients(self, release: Release) -> tuple[int, int]:
        """Return the clients that can install a release, and those that can if its yanked files count."""
        if self._are_fitted:
            return release.clients, release.yanked_clients
        masks = [0, 0]
        for file in release.files:
            masks[bool(file.yanked)] |= self._fits.fits(file.filename, release.installers(file), file.requires_python)
        return masks[0], masks[1]


class MachineReleases:
    """
    What may be installed on one machine, for the solver, which runs in a thread and waits for what is fetched.

    Args:
        asked: the clients for which ``why_none`` says why there is no release.
        waits: runs in the event loop what the solver needs to fetch.
    """

    def __init__(
        self,
        demands: Demands,
        environments: Environments,
        installable: InstallableReleases,
        machine: int,
        *,
        asked: int,
        waits: Waits,
    ) -> None:
        self._demands = demands
        self._environments = environments
        self._installable = installable
        self._machine = machine
        self._asked = asked
        self._waits = waits
        self._needs: dict[tuple[NormalizedName, Version], list[Need]] = {}
        """A proof asks hundreds of times about each."""

    def versions(self, name: NormalizedName) -> list[Candidate]:
        """Return the releases that pip can install on the machine."""
        return self._installable.candidates(self._machine, self._project(name))

    def all_versions(self, name: NormalizedName) -> list[Version]:
        """Return the versions that the machine may install, at which pip looks before it judges pre-releases."""
        return self._installable.versions(self._machine, self._project(name))

    def has_wheel(self, name: NormalizedName, version: Version) -> bool:
        """Return whether a release has a wheel for the machine."""
        return self._installable.has_wheel(self._machine, self._project(name), version)

    def is_looked_at(self, name: NormalizedName) -> bool:
        """Return whether a project's page is known."""
        return self._demands.is_looked_at(name)

    def is_read(self, name: NormalizedName, version: Version) -> bool:
        """Return whether it is known what a release requires."""
        return (name, version) in self._needs or version in self._project(name).requirements

    def needs(self, name: NormalizedName, version: Version) -> list[Need]:
        """Return what a release requires with all its extras, each requirement with its marker."""
        known = self._needs.get((name, version))
        if known is None:
            known = self._needs[name, version] = self._read_needs(self._project(name), version)
        return known

    def _read_needs(self, project: Project, version: Version) -> list[Need]:
        if version not in project.requirements:
            release = _release(project, version)
            try:
                self._waits.result_of(lambda: self._demands.reader.read(project, release))
            except (AbandonedError, VolumeError):
                raise
            except MirrorError as error:
                project.unread[version] = str(error)
                raise UnusableError from error
            if version in project.unusable:
                project.note_try([release])
                raise UnusableError
        needs = [need for one in self._installable.stated(self._machine, project, version) for need in one.needs]
        self._demands.note_names(project, needs)
        return needs

    def counts(self, need: Need, extra: str | None) -> bool:
        """Return whether a requirement counts on the machine with an extra."""
        return bool(self._environments.counts(need.marker, extra=extra) & self._machine)

    def why_none(self, name: NormalizedName, specifier: SpecifierSet) -> str:
        """Return why no release of a project is among the candidates."""
        project = self._project(name)
        if project.error is not None:
            return project.error
        if project.candidates is None:
            return project.why_absent
        return project.why_unusable(specifier) or project.candidates.why_none(specifier, self._asked)[1]

    def _project(self, name: NormalizedName) -> Project:
        project = self._demands.projects.get(name)
        if project is not None and (project.candidates is not None or project.error is not None):
            return project
        return self._waits.result_of(lambda: self._demands.get_project(name))


def reduce_to_reached(
    assignment: Mapping[NormalizedName, Version], needs: Iterable[Need], releases: Releases
) -> dict[NormalizedName, Version] | None:
    """Return the part of an assignment that needs reach on a machine; None if it lacks a project."""
    reduced: dict[NormalizedName, Version] = {}
    seen = set[tuple[NormalizedName, str | None]]()
    left = list(needs)
    while left:
        need = left.pop()
        version = assignment.get(need.name)
        if version is None:
            return None
        if need.name not in reduced:
            if not any(one.version == version for one in releases.versions(need.name)):
                return None
            reduced[need.name] = version
        for extra in (None, *need.extras):
            if (need.name, extra) not in seen:
                seen.add((need.name, extra))
                left += [one for one in releases.needs(need.name, version) if releases.counts(one, extra)]
    return reduced


def _release(project: Project, version: Version) -> Release:
    assert project.candidates is not None
    return next(one for one in project.candidates.releases if one.version == version)
