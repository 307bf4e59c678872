"""The demands: what the selected releases require, and what that requires, followed until nothing new is needed."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import attrgetter, or_
from typing import Protocol

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.project import MAX_TRIES, ClientMasks, Project, Requirer
from mirror_syncer.closure.requirements import read_build_requirements, read_requirements
from mirror_syncer.config import Policy, ProjectPolicy, VersionRule
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.policy.closure import Closure, ProjectClosure
from mirror_syncer.errors import MirrorError
from mirror_syncer.model.need import Need
from mirror_syncer.model.page import File, Page, ProjectStatus, PublishedPage, names
from mirror_syncer.model.requirement_lines import RequirementLines

_WHEEL = ".whl"


class Source(Protocol):
    """Where pages and metadata come from."""

    async def page(self, name: NormalizedName) -> Page | None:
        """Return upstream's page, or None if it has no such project."""

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """Return a project's published page, whose files are on disk."""

    async def requirement_lines(self, name: NormalizedName, file: File) -> RequirementLines:
        """Return what a file's metadata says."""

    async def prefetch(self, files: Iterable[File]) -> None:
        """Look many files up at once."""

    def is_known(self, file: File) -> bool:
        """Return whether what a file requires was found by ``prefetch``."""


@dataclass(frozen=True, slots=True)
class Required:
    """A requirement that counts, of a selected release or of ``mirror.toml``."""

    need: Need
    machines: int
    clients: int
    """pip and uv on these machines, as far as each installs what requires it: they read requires-python differently."""
    requirer: Requirer


class Demands:
    """
    Follows requirements.

    Each round looks at the projects of which more is demanded than before, so it ends: a project has a finite number of
    releases, and nothing is ever taken back. The result does not depend on the order of answers, because projects,
    releases and requirements are looked at in the order of their names.

    Args:
        policy: without a closure.
        now: seconds since the epoch.
    """

    def __init__(self, policy: Policy, *, source: Source, environments: Environments, now: int) -> None:
        self.projects: dict[NormalizedName, Project] = {}
        self._policy = policy
        self._source = source
        self._environments = environments
        machines = policy.rules.machines
        self._masks = ClientMasks(
            None if machines.are_all else max(1, len(machines.pythons)) * max(1, len(machines.platforms))
        )
        self._fits = compatibility(machines)
        self._now = now
        self._glanced: dict[NormalizedName, Project] = {}
        self._dirty: set[NormalizedName] = set()
        self._roots: list[Required] = []

    @property
    def masks(self) -> ClientMasks:
        """How the machines are written as clients."""
        return self._masks

    @property
    def everyone(self) -> int:
        """All machines."""
        return self._environments.everyone

    def failed(self) -> Iterator[tuple[Project, str, str]]:
        """Yield what could not be read of projects and releases that nothing demands: version, if any, and reason."""
        for name, project in sorted((self._glanced | self.projects).items()):
            if project.error is not None and name not in self.projects:
                yield project, "", f"its page could not be read: {project.error}"
            selected = {version for _, version in project.releases()}
            for version in sorted(project.unread.keys() - selected):
                yield project, str(version), project.unread[version]

    def names(self, machines: int) -> tuple[str, ...]:
        """Return the names of machines."""
        return self._fits.names(machines)

    def start(self) -> None:
        """Demand what ``mirror.toml`` names."""
        for name, selection in self._policy.projects.items():
            if self._policy.blocked_names.reason(name) is None:
                self._at(name).lines = selection.rules
        for line in sorted(self._policy.lines, key=attrgetter("text")):
            if self._policy.blocked_names.reason(line.name) is None:
                self._at(line.name).name_by(line, self._root(line, Requirer(line.text, is_line=True)))
        for group, items in sorted(self._policy.groups.items()):
            for item in sorted(items, key=attrgetter("text")):
                requirer = Requirer(f"group {group}: {item.text}")
                self._demand(item, self._root(item, requirer), requirer)

    def _root(self, need: Need, requirer: Requirer) -> int:
        """Note what ``mirror.toml`` requires, and return the machines on which."""
        machines = self._environments.counts(need.marker)
        self._roots.append(Required(need, machines, self._masks.installers(machines), requirer))
        return machines

    def keep(self, name: NormalizedName, version: Version, machines: int, requirer: Requirer) -> None:
        """Demand one release, because a proof needs it."""
        need = Need(name, specifier=SpecifierSet(f"=={version}"), text=f"{name}=={version}")
        if self._at(name).demand(need, machines, requirer, is_witness=True):
            self._dirty.add(name)

    async def follow(self) -> None:
        """
        Follow requirements until nothing new is needed.

        A project whose page cannot be read has no releases, and says why; see ``Project.error``.
        """
        while self._dirty:
            names = sorted(self._dirty)
            self._dirty.clear()
            projects = [self.projects[name] for name in names]
            await asyncio.gather(*(self._look_at(project) for project in projects if project.candidates is None))
            left = projects
            while unread := {project.name: found for project in left if (found := self._select(project))}:
                await self._read_all(unread)
                left = [self.projects[name] for name in unread]
            for project in projects:
                self._follow(project)

    def required(self) -> Iterator[Required]:
        """Yield each requirement that counts, of lines and groups first."""
        yield from self._roots
        for _, project in sorted(self.projects.items()):
            for release, version in project.releases():
                yield from self._required(project, release, version)

    def policy_of(self, name: NormalizedName) -> ProjectPolicy | None:
        """Return what the policy says about a project, named or not; None: it is blocked."""
        project_policy = replace(self._policy, closure=_required(name)).project(name)
        return project_policy and replace(project_policy, closure=None)

    async def read_release(self, project: Project, release: Release) -> None:
        """
        Read what a release requires, unless that is known.

        Raises:
            MirrorError: its metadata cannot be had.
        """
        assert release.version is not None
        if release.version in project.requirements:
            return
        lines = await asyncio.gather(
            *(self._source.requirement_lines(project.name, one) for one in self._read_of(project, release))
        )
        found = [read_requirements(one, project.name) for one in dict.fromkeys(lines)]
        to_build = [read_build_requirements(one) for one in dict.fromkeys(lines) if one.build_requires]
        added = self._policy.dependencies.additions.get(project.name, ())
        if added:
            found.append(read_requirements(RequirementLines(added), project.name))
        project.requirements[release.version] = found
        project.build_requirements[release.version] = to_build
        if not all(one.is_usable for one in (*found, *to_build)):
            project.unusable.add(release.version)

    def _at(self, name: NormalizedName) -> Project:
        project = self.projects.get(name)
        if project is None:
            project = self.projects[name] = self._glanced.pop(name, Project(name))
            self._dirty.add(name)
        return project

    async def look_at(self, name: NormalizedName) -> Project:
        """Return a project, its page read: a proof may look at one that nothing demands."""
        project = self.projects.get(name) or self._glanced.setdefault(name, Project(name))
        if project.candidates is None and project.error is None:
            await self._look_at(project)
        return project

    async def _look_at(self, project: Project) -> None:
        """Read a project's page."""
        project_policy = self.policy_of(project.name)
        if project_policy is None:
            return
        try:
            published = await self._source.published(project.name)
        except MirrorError as error:
            project.error = str(error)
            return
        try:
            page = await self._source.page(project.name)
        except MirrorError as error:
            project.error = str(error)
            if published is None:
                return
            page = published.page  # what is here stays, and what that requires
        if page is None:
            return
        project.on_disk = {} if published is None else published.files
        files = () if page.status is ProjectStatus.QUARANTINED else page.files
        project.candidates = Candidates.read(
            project.name, files, project_policy, published=project.on_disk, now=self._now
        )

    def _select(self, project: Project) -> list[Release]:
        """Select releases by all that is demanded; return those that have not been read."""
        if project.candidates is None:
            return []
        demands = project.rules(latest=self._policy.dependencies.latest, clients_of=self._masks)
        project.selected = frozenset(project.candidates.selected(project.lines, demands, unusable=project.unusable))
        known = project.requirements.keys() | project.unread.keys()
        if project.tries >= MAX_TRIES:
            known = known | project.unusable
        return [release for release, version in project.releases() if version not in known]

    async def _read_all(self, unread: Mapping[NormalizedName, Sequence[Release]]) -> None:
        """Read what releases require."""
        pairs = [(self.projects[name], release) for name, releases in unread.items() for release in releases]
        await self._source.prefetch(file for project, release in pairs for file in project.files(release))
        await asyncio.gather(*(self._read(project, release) for project, release in pairs))
        for name, releases in unread.items():
            self.projects[name].note_try(releases)

    async def _read(self, project: Project, release: Release) -> None:
        try:
            await self.read_release(project, release)
        except MirrorError as error:
            assert release.version is not None
            project.unread[release.version] = str(error)

    def _read_of(self, project: Project, release: Release) -> list[File]:
        """
        Return which of a release's files are read.

        Wheels of a release rarely differ in what they require, so of those whose metadata costs a request each, only
        the first is read; the others are read from the disk once they are here. An sdist is read where it is built.
        """
        files = sorted(project.files(release), key=lambda file: file.filename)
        wheels = [file for file in files if file.filename.endswith(_WHEEL)]
        by_metadata: dict[str, File] = {}
        for file in wheels:
            if isinstance(file.core_metadata, str):
                by_metadata.setdefault(file.core_metadata, file)
            elif names(project.on_disk, file) or self._source.is_known(file):
                by_metadata.setdefault(file.sha256, file)
        if wheels and not by_metadata:
            by_metadata[wheels[0].sha256] = wheels[0]
        sdists = [file for file in files if file not in wheels] if self._is_built(release) else []
        return [*by_metadata.values(), *sdists]

    def _is_built(self, release: Release) -> bool:
        """Return whether a machine has no wheel of a release, so that it builds the sdist."""
        fitting = (
            self._fits.fits(file.filename, installers, file.requires_python)
            for file, installers in release.candidates
            if file.filename.endswith(_WHEEL)
        )
        wheels = reduce(or_, fitting, 0)
        return (
            not wheels
            if self._policy.rules.machines.are_all
            else bool((release.clients | release.yanked_clients) & ~wheels & ~self._fits.uv)
        )

    def _follow(self, project: Project) -> None:
        """Demand what the selected releases require."""
        project.note_requirers(latest=self._policy.dependencies.latest, clients_of=self._masks)
        for release, version in project.releases():
            for required in self._required(project, release, version):
                self._demand(required.need, required.machines, required.requirer)

    def _required(self, project: Project, release: Release, version: Version) -> Iterator[Required]:
        """Yield what a release requires on the machines on which it is needed."""
        # Of a yanked release, too: where it is kept, somebody pins it.
        clients = release.clients | release.yanked_clients
        machines = self._masks.machines(clients, everyone=self._environments.everyone) & project.machines
        by = project.requirers.get(release)
        for requirements in project.stated(version):
            for need in requirements.needs:
                counts = self._environments.counts(need.marker)
                for extra, asked in project.extras.items():
                    counts |= self._environments.counts(need.marker, extra=extra) & asked
                if counts & machines:
                    installers = clients & self._masks.installers(counts & machines)
                    requirer = Requirer(need.text, project.name, str(version), by)
                    yield Required(need, counts & machines, installers, requirer)

    def _demand(self, need: Need, machines: int, requirer: Requirer) -> None:
        if machines and self._at(need.name).demand(need, machines, requirer):
            self._dirty.add(need.name)


def _required(name: NormalizedName) -> Closure:
    """Return a closure in which somebody requires a project: the policy then says something about it."""
    return Closure({name: ProjectClosure((VersionRule(SpecifierSet(), None),))})
