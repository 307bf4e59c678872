"""The policy: what is mirrored, and how content leaves."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import parse_version
from mirror_syncer.config.advisories import NO_ADVISORIES, Advisories, BlockingRules, Location
from mirror_syncer.config.advisories.location import STALE_AFTER
from mirror_syncer.config.locks import Pin
from mirror_syncer.config.policy.age import Exemption
from mirror_syncer.config.policy.block import Block, BlockedNames, Blocking
from mirror_syncer.config.policy.closure import NO_CLOSURE, Closure, Dependencies, Limits, ProjectClosure
from mirror_syncer.config.policy.patterns import NamePatterns
from mirror_syncer.config.policy.project_policy import ProjectPolicy, Rules, stable_text
from mirror_syncer.config.policy.roots import Root
from mirror_syncer.config.policy.selection import Selection, VersionRule
from mirror_syncer.model.need import Need

_ANY = SpecifierSet()
_UNRESOLVED = ProjectClosure()


class Scope(StrEnum):
    """How much of upstream is wanted."""

    SELECTED = "selected"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Removal:
    """How content leaves the mirror."""

    grace: timedelta = timedelta(hours=24)
    """A file that no page names any more stays this long, for those who still have its URL."""
    guard: float = 0.01
    """The share of all projects, at least 50 or half of them, that may lose something in a day unconfirmed."""

    floor: int = 50

    def allowed(self, published: int) -> int:
        """Return how many published projects may lose something: of a small mirror half, so never all."""
        return max(min(self.floor, max(1, published // 2)), int(self.guard * published))


@dataclass(frozen=True, slots=True)
class Serve:
    """What is published in addition to the Simple API."""

    legacy_json: bool = False
    """``/pypi/<project>/json``; it costs a request for each project that changed."""
    osv: bool = False
    """``/osv/``: the advisories in OSV's format, for pip-audit and ``uv audit``."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is mirrored."""

    scope: Scope = Scope.SELECTED
    projects: dict[NormalizedName, Selection] = field(default_factory=dict)
    """The lines of each named project; with scope everything, only these projects differ from all others."""
    latest: int | None = None
    include: NamePatterns = field(default_factory=NamePatterns)
    """With scope everything: the names that are wanted; none means all."""
    exclude: NamePatterns = field(default_factory=NamePatterns)
    """With scope everything: names that are not wanted."""
    rules: Rules = field(default_factory=Rules)
    exemptions: Mapping[NormalizedName, tuple[Exemption, ...]] = field(default_factory=dict)
    blocked_names: BlockedNames = field(default_factory=BlockedNames)
    blocks: Mapping[NormalizedName, tuple[Block, ...]] = field(default_factory=dict)
    """Blocked versions of projects that are not blocked whole."""
    locks: tuple[str, ...] = ()
    """Patterns for lock files, relative to the directory of ``mirror.toml``."""
    pins: Mapping[NormalizedName, tuple[Pin, ...]] = field(default_factory=dict)
    """What the lock files pin."""
    advisory_location: Location | None = None
    """Where advisories come from."""
    advisories_stale_after: timedelta = STALE_AFTER
    blocking: BlockingRules = field(default_factory=BlockingRules)
    """Which advisories block."""
    advisories: Advisories = field(default=NO_ADVISORIES, compare=False)
    """The advisories in force; ``advisory_effects`` says what they change."""
    dependencies: Dependencies = field(default_factory=Dependencies)
    lines: tuple[Need, ...] = ()
    """The lines of ``projects`` with their extras and markers."""
    groups: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    """``dependencies.groups``, parsed."""
    closure: Closure | None = field(default=None, compare=False)
    """What the selected projects need; None: dependencies are not followed, or not known yet."""
    limits: Limits = field(default_factory=Limits)
    removal: Removal = Removal()
    serve: Serve = Serve()

    @property
    def everything(self) -> bool:
        """Whether upstream's list of projects says what is mirrored."""
        return self.scope is Scope.EVERYTHING

    @property
    def usual(self) -> ProjectPolicy:
        """What is wanted of a project that nothing names, with scope everything."""
        return ProjectPolicy(_everything(self.latest, prereleases=self.rules.files.prereleases), self.rules)

    @property
    def roots(self) -> tuple[Root, ...]:
        """
        Where the closure starts: each line, and each group; empty if dependencies are not followed.

        Lock files are no roots: a lock names all that its projects need, and all of it is kept. A line whose project
        is blocked is none either, since ``contradictory_rules`` reports it. An item of a group counts like a
        requirement of a selected release, so it needs no line of its own.
        """
        if not self.dependencies.follow:
            return ()
        lines = (one for one in self.lines if self.blocked_names.reason(one.name) is None)
        groups = (Root(f"group {name}", items) for name, items in self.groups.items() if items)
        return (*(Root(line.text, (line,)) for line in lines), *groups)

    @property
    def awaits_closure(self) -> bool:
        """Whether dependencies are followed and not known yet: a published project without a line may be one."""
        return self.dependencies.follow and (self.closure is None or self.closure is NO_CLOSURE)

    def kept_chains(self, name: NormalizedName) -> dict[Version, str]:
        """Return why each release of a project is kept, as far as the closure and locks tell; the newest first."""
        project = None if self.closure is None else self.closure.projects.get(name)
        chains = {} if project is None else {parse_version(text): chain for text, chain in project.chains.items()}
        for pin in self.pins.get(name, ()):
            chains.setdefault(pin.version, f"lock {pin.source}")
        return {version: chains[version] for version in sorted(filter(None, chains), reverse=True)}

    @property
    def wanted(self) -> tuple[NormalizedName, ...]:
        """The projects that a line, a lock file or the closure names, without the blocked ones."""
        return tuple(name for name in self._named if self.blocked_names.reason(name) is None)

    @property
    def special(self) -> frozenset[NormalizedName]:
        """The projects whose policy may differ from the usual one."""
        return frozenset().union(self._named, self.exemptions, self.blocks, self.advisories.projects)

    @property
    def _named(self) -> dict[NormalizedName, None]:
        """The projects that a line, a lock file or the closure names, in this order."""
        required = () if self.closure is None else self.closure.required
        return dict.fromkeys((*self.projects, *self.pins, *required))

    @property
    def advisory_effects(self) -> str:
        """A text that changes when the advisories have another effect."""
        return _effects(self.advisories, self.blocking)

    @property
    def admission(self) -> str:
        """A text that changes when ``admits`` does."""
        named = sorted(self._named)
        return stable_text((self.everything, self.include, self.exclude, self.blocked_names, named))

    @property
    def admits_all(self) -> bool:
        """Whether every name of upstream's list is wanted, with scope everything."""
        return not (self.include or self.exclude or self.blocked_names)

    def admits(self, name: NormalizedName) -> bool:
        """Return whether a name of upstream's list is wanted, with scope everything."""
        named = name in self.projects or name in self.pins or self._required(name) is not None
        return self.blocked_names.reason(name) is None and (named or self._admits(name))

    def project(self, name: NormalizedName) -> ProjectPolicy | None:
        """Return what is wanted of a project, or None if it is not selected or is blocked whole."""
        if self.blocked_names.reason(name) is not None:
            return None
        selection = self.projects.get(name)
        if selection is None and self.everything and self._admits(name):
            selection = self.usual.selection
        selection = selection or self._required(name)
        if selection is not None:
            closure = None if self.closure is None else self.closure.projects.get(name, _UNRESOLVED)
            return self._project(name, selection, closure)
        if (pins := self.pins.get(name)) is not None:
            # A lock file alone names it: what is pinned is wanted, and nothing else.
            return self._project(name, Selection(pins[0].source, (), named=False), None)
        return None

    def _required(self, name: NormalizedName) -> Selection | None:
        """Return a project as requirements select it, or None if none does."""
        if self.closure is None or (project := self.closure.projects.get(name)) is None:
            return None
        return project.selection

    def _project(self, name: NormalizedName, selection: Selection, closure: ProjectClosure | None) -> ProjectPolicy:
        return ProjectPolicy(
            selection,
            self.rules,
            exemptions=(*self.exemptions.get(name, ()), *self._fixes(name)),
            blocks=self.blocks_of(name),
            pins=self.pins.get(name, ()),
            closure=closure,
        )

    def blocks_of(self, name: NormalizedName) -> tuple[Blocking, ...]:
        """Return what blocks versions or contents of a project, selected or not."""
        return (*self.blocks.get(name, ()), *self.advisories.blocking(name, self.blocking))

    def _fixes(self, name: NormalizedName) -> Iterator[Exemption]:
        """Yield the versions that need not wait because a reviewed advisory names them as a fix."""
        if self.blocking.fixes:
            for version, advisory in self.advisories.fixes(name).items():
                yield Exemption(SpecifierSet(f"=={version}"), because=f"it fixes {advisory}")

    def _admits(self, name: NormalizedName) -> bool:
        """Return whether a project that is not named is wanted, with scope everything."""
        if self.include and self.include.match(name) is None:
            return False
        return self.exclude.match(name) is None


@lru_cache(maxsize=2)
def _everything(latest: int | None, *, prereleases: bool | None) -> Selection:
    """Return the selection of a project that nothing names; the same for nearly all projects of a sync."""
    return Selection('scope = "everything"', (VersionRule(_ANY, latest, prereleases),), named=False)


@lru_cache(maxsize=2)
def _effects(advisories: Advisories, rules: BlockingRules) -> str:
    """Return a digest of all effects; of 25,000 records it takes half a second."""
    found = hashlib.sha256()
    for name in sorted(advisories.projects):
        found.update(f"{name} {advisories.digest(name, rules)}\n".encode())
    return found.hexdigest()
