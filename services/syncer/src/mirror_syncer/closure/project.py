"""A project as the closure sees it: its releases, what is demanded of it, and which releases that selects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.releases import Need, is_pin
from mirror_syncer.closure.requirements import Requirements
from mirror_syncer.config import VersionRule
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.model.page import File


@dataclass(frozen=True, slots=True)
class Requirer:
    """Who requires something: a line of ``mirror.toml``, a group, or a release."""

    text: str
    """The line, or the requirement by which it is required itself."""
    project: NormalizedName | None = None
    """None: a line or a group."""
    version: str = ""
    by: "Requirer | None" = None
    is_line: bool = False

    @property
    def chain(self) -> str:
        """The way from a line to here, such as ``requests → urllib3<3,>=1.26``."""
        return self.text if self.by is None else f"{self.by.chain} → {self.text}"


@dataclass(slots=True)
class Demand:
    """Versions that somebody requires, and the machines on which."""

    specifier: SpecifierSet
    machines: int
    requirer: Requirer
    """The first one; a chain names no other."""
    is_witness: bool = False


@dataclass(slots=True)
class Project:
    """One project of the closure; grows while requirements are followed, and never shrinks."""

    name: NormalizedName
    lines: tuple[VersionRule, ...] = ()
    """What ``mirror.toml`` itself selects of it."""
    requirer: Requirer | None = None
    """The line that names it, if one does."""
    candidates: Candidates | None = None
    """None: not looked at, or upstream has no such project."""
    on_disk: Mapping[str, File] = field(default_factory=dict)
    """What is published of it, by file name."""
    error: str | None = None
    """Why its page could not be read."""
    machines: int = 0
    """Where it is needed."""
    extras: dict[str, int] = field(default_factory=dict)
    """Extras that somebody asks for, and the machines on which."""
    demands: dict[str, Demand] = field(default_factory=dict)
    """By specifier; those of witnesses by ``==version``."""
    unusable: set[Version] = field(default_factory=set)
    """Releases that installers pass over, because pip cannot read what they require."""
    selected: frozenset[Release] = frozenset()
    requirements: dict[Version, list[Requirements]] = field(default_factory=dict)
    """What the wheels of a release require, as far as they differ."""
    unread: dict[Version, str] = field(default_factory=dict)
    """Releases whose metadata could not be had, and why."""

    def name_by(self, line: Need, machines: int) -> None:
        """Note a line that names it: the line's own rules select releases, and its extras count."""
        self.requirer = self.requirer or Requirer(line.text, is_line=True)
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

    def rules(self, *, latest: int, clients_of: "ClientMasks") -> tuple[VersionRule, ...]:
        """Return its demands as the judgement of its files applies them, in a fixed order."""
        return tuple(
            VersionRule(
                demand.specifier,
                None if demand.is_witness else latest,
                prereleases=True if demand.specifier.prereleases else None,
                clients=clients_of(demand.machines),
                takes_yanked=is_pin(demand.specifier),
            )
            for _, demand in sorted(self.demands.items())
        )

    def requirer_of(self, version: Version) -> Requirer | None:
        """Return why one of its releases is here: the line, a proof that needs it, or the first demand for it."""
        if any(rule.specifier.contains(version, prereleases=True) for rule in self.lines):
            return self.requirer
        witness = self.demands.get(f"=={version}")
        if witness is not None and witness.is_witness:
            return witness.requirer
        admitting = (one for one in self.demands.values() if one.specifier.contains(version, prereleases=True))
        return next((one.requirer for one in admitting), self.requirer)

    def releases(self) -> Iterator[tuple[Release, Version]]:
        """Yield the selected releases that have a version, the newest first."""
        found = [(release, release.version) for release in self.selected if release.version is not None]
        yield from sorted(found, key=lambda one: one[1], reverse=True)

    def files(self, release: Release) -> Sequence[File]:
        """Return what is kept of a selected release."""
        return () if self.candidates is None else self.candidates.files(release)


class ClientMasks:
    """
    The two ways to write down machines: a bit each, and three bits each, one for every client of ``Compatibility``.

    Args:
        count: of the machines; None where ``[machines]`` names none, so that a release is for all of them.
    """

    def __init__(self, count: int | None) -> None:
        self._count = count

    def __call__(self, machines: int) -> int | None:
        """Return the clients on some machines; None: all."""
        count = self._count
        return None if count is None else machines | machines << count | machines << 2 * count

    def pip(self, machine: int) -> int:
        """Return the client that is pip on a machine."""
        return 1 if self._count is None else machine

    def machines(self, clients: int, *, everyone: int) -> int:
        """Return the machines of some clients."""
        count = self._count
        if count is None:
            return everyone if clients else 0
        return (clients | clients >> count | clients >> 2 * count) & everyone


def bits(mask: int) -> Iterator[int]:
    """Yield the machines of a set, the lowest first."""
    while mask:
        yield mask & -mask
        mask &= mask - 1
