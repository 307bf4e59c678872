"""The demands: what the selected releases require, and what that requires, followed until nothing new is needed."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import attrgetter, or_

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.client_masks import ClientMasks
from mirror_syncer.closure.environments import Environments
from mirror_syncer.closure.limits import check_growth
from mirror_syncer.closure.markers import relevant_extras
from mirror_syncer.closure.origin import Requirer
from mirror_syncer.closure.project import MAX_TRIES, Project
from mirror_syncer.closure.release_reader import ReleaseReader, explain_defect
from mirror_syncer.closure.requirements import read_requirements
from mirror_syncer.closure.source import Source
from mirror_syncer.config import Policy, ProjectPolicy, VersionRule
from mirror_syncer.config.judgement.admission import Admission
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.policy.closure import Closure, ProjectClosure
from mirror_syncer.errors import MirrorError, VolumeError
from mirror_syncer.model.need import Need
from mirror_syncer.model.page import ProjectStatus, PublishedPage
from mirror_syncer.model.requirement_lines import RequirementLines


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
    Follows requirements: ``start``, then ``follow``, again after each ``demand_release``.

    Each round looks at the projects that more is demanded of than before. It ends: a project has a finite number of
    releases, and nothing is ever taken back. The result does not depend on the order of answers, because projects,
    releases and requirements are looked at in the order of their names.

    Files that upstream never had, of a tree that was adopted, may require projects whose names are nobody's business.
    Upstream is asked for such a name only if ``mirror.toml`` or a file of its own says it, too.

    Args:
        policy: without a closure.
        now: seconds since the epoch.
    """

    def __init__(self, policy: Policy, *, source: Source, environments: Environments, now: int) -> None:
        self.projects: dict[NormalizedName, Project] = {}
        """The projects that something requires."""
        self.reader = ReleaseReader(policy, source)
        self.masks = ClientMasks(None if policy.rules.machines.are_all else len(environments))
        """How the machines are written as clients."""
        self._policy = policy
        self._source = source
        self._environments = environments
        self._fits = compatibility(policy.rules.machines)
        self._now = now
        self._undemanded: dict[NormalizedName, Project] = {}
        """Those at which only a proof looked."""
        self._dirty: set[NormalizedName] = set()
        self._unconfirmed_names = set[NormalizedName]()
        """What files require that upstream may never have had."""
        self._known_names = {
            need.name
            for name, added in policy.dependencies.additions.items()
            for need in read_requirements(RequirementLines(added), name).needs
        }
        """What ``mirror.toml`` and upstream's own files require."""
        self._roots: list[Required] = []

    @property
    def everyone(self) -> int:
        """All machines."""
        return self._environments.everyone

    def start(self) -> None:
        """Demand what ``mirror.toml`` names."""
        for name, selection in self._policy.projects.items():
            if self._policy.blocked_names.reason(name) is None:
                self._demanded(name).lines = selection.rules
        for line in sorted(self._policy.lines, key=attrgetter("text")):
            if self._policy.blocked_names.reason(line.name) is None:
                self._demanded(line.name).add_line(line, self._root(line, Requirer(line.text, is_line=True)))
        for group, items in sorted(self._policy.groups.items()):
            for item in sorted(items, key=attrgetter("text")):
                requirer = Requirer(f"group {group}: {item.text}")
                self._demand(item, self._root(item, requirer), requirer)

    def _root(self, need: Need, requirer: Requirer) -> int:
        """Note what ``mirror.toml`` requires, and return the machines on which."""
        machines = self._environments.counts(need.marker)
        self._known_names.add(need.name)
        self._roots.append(Required(need, machines, self.masks.installers(machines), requirer))
        return machines

    def demand_release(self, name: NormalizedName, version: Version, machines: int, requirer: Requirer) -> None:
        """Demand one release, because a proof needs it."""
        need = Need(name, specifier=SpecifierSet(f"=={version}"), text=f"{name}=={version}")
        if self._demanded(name).demand(need, machines, requirer, is_witness=True):
            self._dirty.add(name)

    async def follow(self) -> None:
        """
        Follow requirements until nothing new is needed.

        A project whose page cannot be read has no releases, and says why; see ``Project.error``.

        Raises:
            VolumeError: the disk failed, so that nothing is known for certain.
            LimitExceededError: far more projects are required than ``[limits]`` allow, or any closure should have.
        """
        while self._dirty:
            check_growth(self._policy.limits, self.projects, self._policy.projects)
            names = sorted(self._dirty)
            self._dirty.clear()
            projects = [self.projects[name] for name in names]
            await asyncio.gather(*(self._read_page(project) for project in projects if project.candidates is None))
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

    def failures(self) -> Iterator[tuple[Project, str, str]]:
        """Yield what only a proof looks at and could not be read: project, version (empty: its page), and reason."""
        for name, project in sorted((self._undemanded | self.projects).items()):
            if project.error is not None and name not in self.projects:
                yield project, "", f"its page could not be read: {project.error}"
            selected = {version for _, version in project.releases()}
            for version in sorted(project.unread.keys() - selected):
                yield project, str(version), project.unread[version]

    def names(self, machines: int) -> tuple[str, ...]:
        """Return the names of machines."""
        return self._fits.names(machines)

    def policy_of(self, name: NormalizedName) -> ProjectPolicy | None:
        """Return what the policy says about a project, named or not; None: it is blocked."""
        project_policy = replace(self._policy, closure=_required(name)).project(name)
        return project_policy and replace(project_policy, closure=None)

    def _demanded(self, name: NormalizedName) -> Project:
        """Return a project that something requires from now on."""
        project = self.projects.get(name)
        if project is None:
            project = self.projects[name] = self._undemanded.pop(name, Project(name))
            self._dirty.add(name)
        return project

    def is_looked_at(self, name: NormalizedName) -> bool:
        """Return whether a project's page is known, demanded or not."""
        project = self.projects.get(name) or self._undemanded.get(name)
        return project is not None and (project.candidates is not None or project.error is not None)

    async def get_project(self, name: NormalizedName) -> Project:
        """Return a project with its page; it may be one that nothing demands, for a proof."""
        project = self.projects.get(name) or self._undemanded.get(name)
        if project is None:
            project = self._undemanded[name] = Project(name)
            check_growth(self._policy.limits, self.projects | self._undemanded, self._policy.projects)
        if project.candidates is None and project.error is None:
            await self._read_page(project)
        return project

    def note_names(self, project: Project, needs: Iterable[Need]) -> None:
        """Note what a release of a project requires, before that is looked at."""
        if project.is_unconfirmed:
            self._unconfirmed_names.update(need.name for need in needs)

    async def _read_page(self, project: Project) -> None:
        """Read a project's page, and what is published of it."""
        project_policy = self.policy_of(project.name)
        if project_policy is None:
            return
        try:
            published = await self._source.published(project.name)
        except VolumeError:
            raise
        except MirrorError as error:
            project.error = str(error)
            return
        try:
            await self._read_candidates(project, project_policy, published)
        except MirrorError:
            raise
        except Exception as error:
            if published is not None:
                raise  # what it requires is not known, and would leave
            project.error = explain_defect(project.name, error)

    async def _read_candidates(self, project: Project, policy: ProjectPolicy, published: PublishedPage | None) -> None:
        name = project.name
        project.is_withheld_from_upstream = name in self._unconfirmed_names and name not in self._known_names
        if project.is_withheld_from_upstream:
            project.is_unconfirmed = True
            page = None if published is None else published.page
        else:
            try:
                page = await self._source.page(name)
            except VolumeError:
                raise
            except MirrorError as error:
                project.error = str(error)
                # What is here stays, and what that requires.
                page = None if published is None else published.page
            project.is_unconfirmed = self._source.is_unconfirmed(name)
        if page is None:
            return
        project.on_disk = {} if published is None else published.files
        files = () if page.status is ProjectStatus.QUARANTINED else page.files
        admission = Admission(project.name, files, policy, published=project.on_disk, now=self._now)
        project.candidates = Candidates.fitted(admission)

    def _select(self, project: Project) -> list[Release]:
        """Select releases by all that is demanded; return those that have not been read."""
        if project.candidates is None:
            return []
        demands = project.rules(latest=self._policy.dependencies.latest, masks=self.masks)
        project.selected = frozenset(project.candidates.selected(project.lines, demands, unusable=project.unusable))
        known = project.requirements.keys() | project.unread.keys()
        if project.tries >= MAX_TRIES:
            known = known | project.unusable
        return [release for release, version in project.releases() if version not in known]

    async def _read_all(self, unread: Mapping[NormalizedName, Sequence[Release]]) -> None:
        """Read what releases require."""
        pairs = [(self.projects[name], release) for name, releases in unread.items() for release in releases]
        await self.reader.read_all(pairs)
        for name, releases in unread.items():
            self.projects[name].note_try(releases)

    def _follow(self, project: Project) -> None:
        """Demand what the selected releases require."""
        project.note_requirers(latest=self._policy.dependencies.latest, masks=self.masks)
        for release, version in project.releases():
            for required in self._required(project, release, version):
                if project.is_unconfirmed:
                    self._unconfirmed_names.add(required.need.name)
                else:
                    self._known_names.add(required.need.name)
                self._demand(required.need, required.machines, required.requirer)

    def _required(self, project: Project, release: Release, version: Version) -> Iterator[Required]:
        """Yield what a release requires on the machines on which it is needed."""
        # Of a yanked release, too: where it is kept, somebody pins it.
        clients = release.clients | release.yanked_clients
        machines = self.masks.machines(clients, everyone=self._environments.everyone) & project.machines
        asked_anywhere = reduce(or_, project.extras.values(), 0)
        by = project.requirers.get(release)
        for requirements in project.stated(version):
            for need in requirements.needs:
                counts = self._environments.counts(need.marker)
                for extra, asked in relevant_extras(need.marker, project.extras, asked_anywhere):
                    counts |= self._environments.counts(need.marker, extra=extra) & asked
                if counts & machines:
                    installers = clients & self.masks.installers(counts & machines)
                    requirer = Requirer(need.text, project.name, str(version), by)
                    yield Required(need, counts & machines, installers, requirer)

    def _demand(self, need: Need, machines: int, requirer: Requirer) -> None:
        if not machines:
            return
        project = self._demanded(need.name)
        if project.demand(need, machines, requirer):
            self._dirty.add(need.name)
        if project.is_withheld_from_upstream and need.name in self._known_names:
            project.is_withheld_from_upstream, project.candidates = False, None  # it is read again, from upstream
            self._dirty.add(need.name)


def _required(name: NormalizedName) -> Closure:
    """Return a closure in which somebody requires a project: the policy then says something about it."""
    return Closure({name: ProjectClosure((VersionRule(SpecifierSet(), None),))})
