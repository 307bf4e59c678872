"""
Sets of a project's releases, as bits of an integer.

A proof compares sets a hundred thousand times. A project has a finite list of releases, and each has its bit: so a
comparison takes 0.1 µs, and ``packaging`` says once what a specifier matches, by its text or a local version, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.releases import Candidate, is_pin


class Relation(NamedTuple):
    """How the members of one set lie in another one."""

    is_subset: bool
    is_disjoint: bool


_RELATIONS = {(subset, disjoint): Relation(subset, disjoint) for subset in (False, True) for disjoint in (False, True)}


class VersionSet:
    """A set of releases of one project, by their place in its list. A negative number is a set without an end."""

    __slots__ = ("bits",)

    def __init__(self, bits: int) -> None:
        self.bits = bits

    @classmethod
    def empty(cls) -> Self:
        """Return the set without a member."""
        return cls(0)

    @classmethod
    def full(cls) -> Self:
        """Return the set of everything."""
        return cls(-1)

    @classmethod
    def singleton(cls, version: int) -> Self:
        """Return the set of one release."""
        return cls(1 << version)

    @property
    def is_empty(self) -> bool:
        """Whether it has no member."""
        return not self.bits

    def __contains__(self, version: int) -> bool:
        return bool(self.bits >> version & 1)

    def __and__(self, other: object) -> Self:
        return type(self)(self.bits & other.bits) if isinstance(other, VersionSet) else NotImplemented

    def __or__(self, other: object) -> Self:
        return type(self)(self.bits | other.bits) if isinstance(other, VersionSet) else NotImplemented

    def __sub__(self, other: object) -> Self:
        return type(self)(self.bits & ~other.bits) if isinstance(other, VersionSet) else NotImplemented

    def __invert__(self) -> Self:
        return type(self)(~self.bits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionSet) and self.bits == other.bits

    def __hash__(self) -> int:
        return hash((self.bits,))  # an integer's own hash has no low bits here, so that a dict searches for long

    def __str__(self) -> str:
        return f"{self.bits:#b}"

    def is_subset(self, other: Self) -> bool:
        """Return whether each member is in the other set."""
        return not self.bits & ~other.bits

    def is_superset(self, other: Self) -> bool:
        """Return whether each member of the other set is here."""
        return not other.bits & ~self.bits

    def is_disjoint(self, other: Self) -> bool:
        """Return whether no member is in both."""
        return not self.bits & other.bits

    def relation(self, other: Self) -> Relation:
        """Return both answers at once."""
        common = self.bits & other.bits
        return _RELATIONS[common == self.bits, not common]


class ProjectVersions:
    """The releases of one project that a machine may install: the bit of the most wanted one is the lowest."""

    def __init__(self, candidates: Sequence[Candidate], page: Sequence[Version]) -> None:
        newest_first = sorted(candidates, key=lambda one: (one.version, str(one.version)), reverse=True)
        ordered = sorted(
            newest_first,
            key=lambda candidate: (candidate.is_yanked, not candidate.is_kept, candidate.version.is_prerelease),
        )
        self.versions = tuple(candidate.version for candidate in ordered)
        """In the order in which a proof tries them: what the mirror keeps, then the newest."""
        self.all = (1 << len(ordered)) - 1
        self.kept = _bits(candidate.is_kept for candidate in ordered)
        self.yanked = _bits(candidate.is_yanked for candidate in ordered)
        self.guarded = self.yanked | _bits(version.is_prerelease for version in self.versions)
        """Pre-releases and yanked releases: installers take them under conditions."""
        self.usual = self.all & ~self.guarded
        self._candidates = tuple(candidates)
        self._page = tuple(page)
        # By text: a specifier takes longer to hash than to write.
        self._matching: dict[str, int] = {}
        self._admitted: dict[str, int] = {}

    def is_spelled_as(self, candidates: tuple[Candidate, ...]) -> bool:
        """Return whether equal candidates have equal texts, too: 1.0 is 1.0.0, but ``===`` compares the text."""
        return all(
            known.version is other.version or str(known.version) == str(other.version)
            for known, other in zip(self._candidates, candidates, strict=True)
        )

    def matching(self, specifier: SpecifierSet) -> int:
        """Return the releases that satisfy a specifier, pre-releases and yanked ones included."""
        if not specifier:
            return self.all
        text = str(specifier)
        bits = self._matching.get(text)
        if bits is None:
            bits = _bits(specifier.contains(version, prereleases=True) for version in self.versions)
            self._matching[text] = bits
        return bits

    def admitted(self, specifier: SpecifierSet) -> int:
        """
        Return the pre-releases and yanked releases that pip takes for a specifier.

        Pre-releases: if it names one, or where no final of the page satisfies it. Yanked ones: if it pins a version
        and nothing else satisfies it.
        """
        if not self.guarded:
            return 0
        text = str(specifier)
        bits = self._admitted.get(text)
        if bits is None:
            bits = self._admitted[text] = self._read_admitted(specifier)
        return bits

    def _read_admitted(self, specifier: SpecifierSet) -> int:
        bits = self.matching(specifier)
        if any(version.is_prerelease for version in self.members(bits)):
            taken = {str(version) for version in specifier.filter(self._page)}
            bits &= _bits(not version.is_prerelease or str(version) in taken for version in self.versions)
        if not is_pin(specifier) or self.matching(specifier) & ~self.yanked:
            bits &= ~self.yanked
        return bits & self.guarded

    def members(self, bits: int) -> Iterator[Version]:
        """Yield the releases of a set, the most wanted first."""
        bits &= self.all
        while bits:
            lowest = bits & -bits
            yield self.versions[lowest.bit_length() - 1]
            bits ^= lowest


class VersionMemory:
    """The lists of releases that solvers have met: most projects look the same on most machines of a closure."""

    def __init__(self) -> None:
        self._known: dict[tuple[NormalizedName, tuple[Candidate, ...], tuple[Version, ...]], ProjectVersions] = {}

    def get(self, project: NormalizedName, candidates: Sequence[Candidate], page: Sequence[Version]) -> ProjectVersions:
        """Return a project's releases, with all that is known about them."""
        key = project, tuple(candidates), tuple(page)
        known = self._known.get(key)
        if known is None or not known.is_spelled_as(key[1]):
            known = self._known[key] = ProjectVersions(*key[1:])
        return known


def _bits(flags: Iterable[bool]) -> int:
    bits = 0
    for place, flag in enumerate(flags):
        if flag:
            bits |= 1 << place
    return bits
