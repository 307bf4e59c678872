"""Releases that together satisfy some requirements on one machine, who requires each of them, and a check of that."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.releases import Candidate, Releases, is_pin, is_required, requirement_text, sort_key
from mirror_syncer.model.need import Need


@dataclass(frozen=True, slots=True)
class Requirer:
    """A requirement that counts, and whose it is."""

    need: Need
    project: NormalizedName | None = None
    """None: it is one of the requirements to be proved."""
    extra: str | None = None
    """The extra of the project that brings it in."""


class CaveatKind(StrEnum):
    """What a proof does not show."""

    NO_EXTRA = "no such extra"
    """pip warns about it, and installs the release without."""
    YANKED = "yanked"
    """A release pins a yanked one, which pip takes and uv does not."""


@dataclass(frozen=True, slots=True)
class Caveat:
    """What a person should know about a requirement although the proof holds."""

    kind: CaveatKind
    requirer: Requirer
    message: str


@dataclass(frozen=True, slots=True)
class Solution:
    """An assignment that satisfies the requirements, as a proof shows it."""

    assignment: Mapping[NormalizedName, Version]
    """The release of each project that is required, in the order of the names."""
    requirers: Mapping[NormalizedName, Sequence[Requirer]]
    """Whose requirements each project meets; that which is nearest to the first requirements comes first."""
    additions: frozenset[NormalizedName]
    """The projects whose release the mirror does not keep yet: the witness adds it."""
    caveats: Sequence[Caveat]

    @classmethod
    def read(cls, assignment: Mapping[NormalizedName, Version], roots: Sequence[Need], releases: Releases) -> Self:
        """
        Follow the requirements through an assignment.

        Args:
            assignment: it may have projects that nothing requires; these are left out.
        """
        walk = _Walk(assignment, roots, releases)
        reached = {name: assignment[name] for name in sorted(walk.requirers) if name in assignment}
        caveats = list(walk.caveats)
        additions = set()
        for name, version in reached.items():
            candidate = _candidate(name, version, releases)
            if candidate is None or not candidate.is_kept:
                additions.add(name)
            # uv takes a yanked release for a requirement of the user's own alone.
            of_releases = [requirer for requirer in walk.requirers[name] if requirer.project is not None]
            if candidate is not None and candidate.is_yanked:
                message = f"uv does not install {name} {version}, which is yanked, for a requirement of a release"
                caveats += [Caveat(CaveatKind.YANKED, requirer, message) for requirer in of_releases]
        return cls(reached, walk.requirers, frozenset(additions), tuple(caveats))

    def chain(self, project: NormalizedName) -> str:
        """Return why a project is part of the proof, as in ``requests → urllib3<3,>=1.26``."""
        parts: list[str] = []
        current: NormalizedName | None = project
        while current is not None:
            requirer = self.requirers[current][0]
            parts.append(requirement_text(requirer.need))
            current = requirer.project
        return " → ".join(reversed(parts))


def verify(assignment: Mapping[NormalizedName, Version], roots: Sequence[Need], releases: Releases) -> list[str]:
    """
    Check an assignment without a solver.

    Returns:
        A sentence for each requirement that it does not satisfy, for each release that the machine may not install, and
        for each project that nothing requires; empty if the assignment is a proof.
    """
    walk = _Walk(assignment, roots, releases)
    faults = list(walk.unmet)
    superfluous = sorted(assignment.keys() - walk.requirers.keys())
    faults += [f"{name} {assignment[name]} is assigned, but nothing requires {name}" for name in superfluous]
    for name in sorted(walk.requirers.keys() & assignment.keys()):
        if not is_taken(name, assignment[name], (requirer.need for requirer in walk.requirers[name]), releases):
            subject = f"{name} {assignment[name]}, a pre-release or yanked release,"
            faults.append(f"pip does not take {subject} for what its requirers say")
    return faults


def is_taken(project: NormalizedName, version: Version, needs: Iterable[Need], releases: Releases) -> bool:
    """
    Return whether pip takes a release that satisfies all of its requirers, although it is a pre-release or yanked.

    pip merges what all requirers say. It takes pre-releases if one of them names one, or if no final of the page
    satisfies all of them; and yanked releases if one of them pins a version and nothing else satisfies all of them.
    """
    candidate = _candidate(project, version, releases)
    is_yanked = candidate is not None and candidate.is_yanked
    if not is_yanked and not version.is_prerelease:
        return True
    merged = SpecifierSet()
    for need in needs:
        merged &= need.specifier
    if version.is_prerelease and not any(
        _is_same(version, other) for other in merged.filter(releases.all_versions(project))
    ):
        return False
    if not is_yanked:
        return True
    matching = [one for one in releases.versions(project) if merged.contains(one.version, prereleases=True)]
    return is_pin(merged) and all(one.is_yanked for one in matching)


class _Walk:
    """The requirements that count for an assignment, beginning with the first ones, each once."""

    def __init__(self, assignment: Mapping[NormalizedName, Version], roots: Sequence[Need], releases: Releases) -> None:
        self.requirers: dict[NormalizedName, list[Requirer]] = {}
        self.unmet: list[str] = []
        self.caveats: list[Caveat] = []
        self._assignment = assignment
        self._releases = releases
        self._queue: deque[tuple[NormalizedName, str | None, Requirer]] = deque()
        self._seen: set[tuple[NormalizedName, str | None]] = set()
        for need in sorted(roots, key=sort_key):
            if releases.counts(need, None):
                self._add(Requirer(need))
        while self._queue:
            for requirer in self._requirers_of(*self._queue.popleft()):
                self._add(requirer)

    def _add(self, requirer: Requirer) -> None:
        need = requirer.need
        self.requirers.setdefault(need.name, []).append(requirer)
        version = self._assignment.get(need.name)
        if version is None:
            self.unmet.append(
                f"{self._subject(requirer)} {requirement_text(need)}: no release of {need.name} is assigned"
            )
            return
        if not need.specifier.contains(version, prereleases=True):
            self.unmet.append(
                f"{self._subject(requirer)} {requirement_text(need)}: {need.name} {version} does not satisfy it"
            )
        for node in ((need.name, None), *((need.name, extra) for extra in sorted(need.extras))):
            if node not in self._seen:
                self._seen.add(node)
                self._queue.append((*node, requirer))

    def _requirers_of(self, project: NormalizedName, extra: str | None, by: Requirer) -> Iterator[Requirer]:
        version = self._assignment[project]
        if _candidate(project, version, self._releases) is None:
            if extra is None:
                self.unmet.append(f"{project} {version} is not a release that the machine may install")
            return
        if extra is not None and extra not in self._releases.extras(project, version):
            message = f"{project} {version} has no extra {extra!r}: pip warns, and installs it without"
            self.caveats.append(Caveat(CaveatKind.NO_EXTRA, by, message))
        for need in sorted(self._releases.needs(project, version), key=sort_key):
            if is_required(need, extra, self._releases):
                yield Requirer(need, project, extra)

    def _subject(self, requirer: Requirer) -> str:
        if requirer.project is None:
            return "the line"
        return f"{requirer.project} {self._assignment[requirer.project]} requires"


def _candidate(project: NormalizedName, version: Version, releases: Releases) -> Candidate | None:
    """Return a release as the machine sees it; None: it may not be installed."""
    candidates = releases.versions(project)
    for candidate in candidates:  # nearly always the very object, which takes a fifth of the time
        if candidate.version is version:
            return candidate
    return next((candidate for candidate in candidates if _is_same(candidate.version, version)), None)


def _is_same(version: Version, other: Version) -> bool:
    """Return whether two versions are the same release: 1.0 is not 1.0.0, which may be on a page beside it."""
    return version == other and str(version) == str(other)
