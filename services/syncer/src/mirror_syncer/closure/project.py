"""A project as the closure sees it: its releases, what is demanded of it, and which releases that selects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.client_masks import ClientMasks
from mirror_syncer.closure.origin import PUSHED_OUT, Requirer
from mirror_syncer.closure.releases import is_pin
from mirror_syncer.closure.requirements import Requirements, shown
from mirror_syncer.config import VersionRule
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.model.need import Need
from mirror_syncer.model.page import File, names

MAX_TRIES = 20
"""After so many reads that found only releases that pip cannot read, no older one is tried: each costs a request."""


def metadata_key(file: File) -> str:
    """Return what files have in common that require the same: the digest of their metadata, or else their own."""
    return file.core_metadata if isinstance(file.core_metadata, str) else file.sha256


@dataclass(slots=True)
class Demand:
    """Versions that somebody requires, and the machines on which."""

    specifier: SpecifierSet
    machines: int
    requirer: Requirer
    """The first one; a chain names no other."""
    is_witness: bool = False

    def rule(self, latest: int, masks: ClientMasks) -> VersionRule:
        """Return the rule by which it chooses releases."""
        return VersionRule(
            self.specifier,
            None if self.is_witness else latest,
            prereleases=True if self.specifier.prereleases else None,
            clients=masks.clients(self.machines),
            takes_yanked=is_pin(self.specifier),
        )


@dataclass(slots=True)
class Project:
    """One project of the closure; grows while requirements are followed, and never shrinks."""

    name: NormalizedName
    lines: tuple[VersionRule, ...] = ()
    """What ``mirror.toml`` itself selects of it."""
    named_by: list[Need] = field(default_factory=list)
    """The lines that name it, in the order of their text."""
    candidates: Candidates | None = None
    """None: not looked at, or upstream has no such project."""
    on_disk: Mapping[str, File] = field(default_factory=dict)
    """What is published of it, by file name."""
    error: str | None = None
    """Why its page could not be read."""
    is_unconfirmed: bool = False
    """Whether its page may never have been upstream's; see ``Demands``."""
    is_withheld_from_upstream: bool = False
    """Whether only unconfirmed projects name it, so that upstream was not asked for it."""
    machines: int = 0
    """Where it is needed."""
    extras: dict[str, int] = field(default_factory=dict)
    """Extras that somebody asks for, and the machines on which."""
    demands: dict[str, Demand] = field(default_factory=dict)
    """By specifier; those of witnesses by ``==version``."""
    unusable: set[Version] = field(default_factory=set)
    """
    Releases that installers pass over, because pip cannot read what they require.

    After ``MAX_TRIES`` those that were not read count as unusable, too.
    """
    tries: int = 0
    """How often all releases that were read at once turned out to be unusable."""
    selected: frozenset[Release] = frozenset()
    requirers: dict[Release, Requirer] = field(default_factory=dict)
    """Why selected releases are here."""
    requirements: dict[Version, list[Requirements]] = field(default_factory=dict)
    """What the files of a release require, as far as they differ."""
    requirements_of_files: dict[Version, Mapping[str, Requirements]] = field(default_factory=dict)
    """The same by file, as ``metadata_key`` names it; only of releases whose files differ."""
    build_requirements: dict[Version, list[Requirements]] = field(default_factory=dict)
    """What is installed to build a release, apart from it, so that it is no part of a proof."""
    unread: dict[Version, str] = field(default_factory=dict)
    """Releases whose metadata could not be had, and why."""

    @property
    def why_absent(self) -> str:
        """Why there is no page, where none could be read."""
        if self.is_withheld_from_upstream:
            return f"upstream is not asked for {self.name}, since only files that it does not have name it"
        return f"upstream has no project {self.name}"

    def why_unusable(self, specifier: SpecifierSet) -> str | None:
        """Return why installers pass over the releases that match, if they do so for what these require."""
        newest = max((one for one in self.unusable if specifier.contains(one, prereleases=True)), default=None)
        if newest is None:
            return None
        tried = f"; none older than the {MAX_TRIES} that were tried was read" if self.tries >= MAX_TRIES else ""
        text = shown(str(specifier))
        passed = f"installers pass over {self.name} {newest} and others that match '{text}'".replace(" ''", " it")
        return f"{passed}: pip cannot read what they require{tried}"

    def add_line(self, line: Need, machines: int) -> None:
        """Note a line that names it: the line's own rules select releases, and its extras count."""
        self.named_by.append(line)
        self.machines |= machines
        for extra in line.extras:
            self.extras[extra] = self.extras.get(extra, 0) | machines

    def demand(self, need: Need, machines: int, requirer: Requirer, *, is_witness: bool = False) -> bool:
        """Add a requirement, and return whether that changes anything."""
        grows = bool(machines & ~self.machines)
        self.machines |= machines
        for extra in need.extras:
            asked = self.extras.get(extra, 0)
            grows |= bool(machines & ~asked)
            self.extras[extra] = asked | machines
        key = str(need.specifier)
        demand = self.demands.get(key)
        if demand is None:
            self.demands[key] = Demand(need.specifier, machines, requirer, is_witness)
            return True
        grows |= bool(machines & ~demand.machines) or (is_witness and not demand.is_witness)
        demand.machines |= machines
        demand.is_witness |= is_witness
        return grows

    def rules(self, *, latest: int, masks: ClientMasks) -> tuple[VersionRule, ...]:
        """Return its demands as the judgement of its files applies them, in a fixed order."""
        return tuple(demand.rule(latest, masks) for _, demand in sorted(self.demands.items()))

    def note_requirers(self, *, latest: int, masks: ClientMasks) -> None:
        """Note for each selected release why it is here: a line, else the first demand that chooses it."""
        left = {release for release, _ in self.releases()}
        if self.candidates is None or not left:
            return
        for release in left:  # of those that nothing chooses any more
            self.requirers[release] = Requirer(f"{self.name} {release.version} {PUSHED_OUT}")
        if self.lines:
            for release in left & self.candidates.selected(self.lines, (), unusable=self.unusable):
                self.requirers[release] = self._line_of(release)
                left.discard(release)
        for demand in self.demands.values():
            if not left:
                return
            for release in left & self.candidates.chosen(demand.rule(latest, masks), unusable=self.unusable):
                self.requirers[release] = demand.requirer
                left.discard(release)

    def _line_of(self, release: Release) -> Requirer:
        """Return the first line that admits a release."""
        version = release.version
        admitting = (line for line in self.named_by if version and line.specifier.contains(version, prereleases=True))
        return Requirer(next(admitting, self.named_by[0]).text) if self.named_by else Requirer(self.name)

    def stated(self, version: Version) -> Iterator[Requirements]:
        """Yield what a release requires when it is installed or built, as far as it was read."""
        yield from self.requirements.get(version, ())
        yield from self.build_requirements.get(version, ())

    def note_try(self, releases: Iterable[Release]) -> None:
        """Note that releases were read; give up after too many unusable ones."""
        if all(release.version in self.unusable for release in releases):
            self.tries += 1
            if self.tries >= MAX_TRIES:
                self._give_up()

    def _give_up(self) -> None:
        """Count each release that was not read as unusable, since all that were tried are."""
        if self.candidates is not None:
            versions = (release.version for release in self.candidates.releases if release.version is not None)
            self.unusable.update(version for version in versions if version not in self.requirements)

    def releases(self) -> Iterator[tuple[Release, Version]]:
        """Yield the selected releases that have a version, the newest first."""
        found = [(release, release.version) for release in self.selected if release.version is not None]
        yield from sorted(found, key=lambda one: one[1], reverse=True)

    def not_on_disk(self) -> frozenset[Version]:
        """Return the selected releases with a file that is not published."""
        return frozenset(
            version
            for release, version in self.releases()
            if not all(names(self.on_disk, file) for file in self.files(release))
        )

    @property
    def is_read_on_trust(self) -> bool:
        """Whether only the word of a server says what some wheel requires, until that wheel is here."""
        return any(
            file.filename.endswith(".whl") and not isinstance(file.core_metadata, str) and not names(self.on_disk, file)
            for release, _ in self.releases()
            for file in self.files(release)
        )

    def files(self, release: Release) -> Sequence[File]:
        """Return what is kept of a selected release."""
        return () if self.candidates is None else self.candidates.files(release)
