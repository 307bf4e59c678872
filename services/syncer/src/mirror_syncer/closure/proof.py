"""Releases that together satisfy some requirements on one machine, and a check of that without a solver."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.releases import Candidate, Releases, is_pin, is_required, requirement_text, sort_key
from mirror_syncer.model.need import Need


@dataclass(frozen=True, slots=True)
class Solution:
    """An assignment that satisfies the requirements, as a proof shows it."""

    assignment: Mapping[NormalizedName, Version]
    """The release of each project that is required, in the order of the names."""
    needs: Mapping[NormalizedName, Sequence[Need]]
    """What is required of each project."""

    @classmethod
    def read(cls, assignment: Mapping[NormalizedName, Version], roots: Sequence[Need], releases: Releases) -> Self:
        """
        Follow the requirements through an assignment.

        Args:
            assignment: it may have projects that nothing requires; these are left out.
        """
        walk = _Walk(assignment, roots, releases)
        return cls({name: assignment[name] for name in sorted(walk.needs.keys() & assignment.keys())}, walk.needs)


def verify(assignment: Mapping[NormalizedName, Version], roots: Sequence[Need], releases: Releases) -> list[str]:
    """
    Check an assignment without a solver.

    Returns:
        A sentence for each requirement that it does not satisfy, for each release that the machine may not install, and
        for each project that nothing requires; empty if the assignment is a proof.
    """
    walk = _Walk(assignment, roots, releases)
    faults = list(walk.unmet)
    superfluous = sorted(assignment.keys() - walk.needs.keys())
    faults += [f"{name} {assignment[name]} is assigned, but nothing requires {name}" for name in superfluous]
    for name in sorted(walk.needs.keys() & assignment.keys()):
        if not is_taken(name, assignment[name], walk.needs[name], releases):
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
        self.needs: dict[NormalizedName, list[Need]] = {}
        """By the project that they are on."""
        self.unmet: list[str] = []
        self._assignment = assignment
        self._releases = releases
        self._queue: deque[tuple[NormalizedName, str | None]] = deque()
        self._seen: set[tuple[NormalizedName, str | None]] = set()
        for need in sorted(roots, key=sort_key):
            if releases.counts(need, None):
                self._add(need, "the line")
        while self._queue:
            self._follow(*self._queue.popleft())

    def _add(self, need: Need, subject: str) -> None:
        """Note a requirement; the subject is who states it, as in a sentence."""
        self.needs.setdefault(need.name, []).append(need)
        version = self._assignment.get(need.name)
        if version is None:
            self.unmet.append(f"{subject} {requirement_text(need)}: no release of {need.name} is assigned")
            return
        if not need.specifier.contains(version, prereleases=True):
            self.unmet.append(f"{subject} {requirement_text(need)}: {need.name} {version} does not satisfy it")
        for node in ((need.name, None), *((need.name, extra) for extra in sorted(need.extras))):
            if node not in self._seen:
                self._seen.add(node)
                self._queue.append(node)

    def _follow(self, project: NormalizedName, extra: str | None) -> None:
        """Note what the release of a project requires, by itself or with an extra."""
        version = self._assignment[project]
        if _candidate(project, version, self._releases) is None:
            if extra is None:
                self.unmet.append(f"{project} {version} is not a release that the machine may install")
            return
        for need in sorted(self._releases.needs(project, version), key=sort_key):
            if is_required(need, extra, self._releases):
                self._add(need, f"{project} {version} requires")


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
