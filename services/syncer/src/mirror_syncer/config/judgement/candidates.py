"""
The releases of a page that version rules may choose, ready to be chosen from many times.

The dependency closure asks a page again with each new demand. So the rules that come before versions are applied once,
and what a version rule chooses is remembered.
"""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property, reduce
from operator import or_
from typing import Self

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from mirror_contract import UnmetReason
from mirror_syncer.config.judgement.absence import Absence
from mirror_syncer.config.judgement.admission import Admission
from mirror_syncer.config.judgement.newest import newest_first
from mirror_syncer.config.judgement.project_size import too_large
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.judgement.version_choice import NOTHING, Chosen, VersionChoice
from mirror_syncer.config.policy.selection import VersionRule
from mirror_syncer.model.page import File, names

_NONE: frozenset[Release] = frozenset()


class Candidates:
    """
    A page's releases after the rules that come before versions.

    Attributes:
        admission: what these rules say about each file.
    """

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self._rules = admission.rules
        self._published = admission.published
        self._unusable: tuple[frozenset[str], frozenset[Release]] = frozenset(), _NONE
        self._known: dict[tuple[VersionRule, bool], Chosen] = {}
        self._superseded_until: int | None = None

    @classmethod
    def fitted(cls, admission: Admission) -> Self:
        """Return the candidates of a page, with each release fitted to the machines."""
        candidates = cls(admission)
        for release in candidates.ordered:
            release.ensure_fit()
        return candidates

    @cached_property
    def ordered(self) -> list[Release]:
        """The releases with a version, the newest first. Some may have no file left once they are fitted."""
        return newest_first([release for release in self.admission.releases if release.files])

    @cached_property
    def releases(self) -> list[Release]:
        """The releases that have files left, the newest first."""
        for release in self.ordered:
            release.ensure_fit()
        return [release for release in self.ordered if release.files]

    @property
    def expires_at(self) -> int | None:
        """When time alone changes which files may be chosen, or what was last selected; seconds since the epoch."""
        times = (self.admission.expires_at, self._superseded_until)
        return min((time for time in times if time is not None), default=None)

    def files(self, release: Release) -> tuple[File, ...]:
        """Return the files that would be kept of a release: all that a machine can install or needs."""
        release.ensure_fit()
        return tuple(release.files)

    def chosen(self, rule: VersionRule, *, unusable: Collection[Version | str] = ()) -> set[Release]:
        """
        Return the newest releases that a demand admits, for each of its clients.

        Args:
            unusable: versions that installers pass over.
        """
        self._pass_over(unusable)
        return set(self._by_demand(rule).releases)

    def selected(
        self,
        lines: Iterable[VersionRule],
        demands: Iterable[VersionRule],
        *,
        unusable: Collection[Version | str] = (),
    ) -> set[Release]:
        """Return the releases that a decision by these rules keeps a file of, if none waits for the closure."""
        self._pass_over(unusable)
        chosen = _together([*map(self._by_line, lines), *map(self._by_demand, demands)])
        found = {release for release in chosen.releases if self.files(release)}
        found.update(chosen.superseded, self._kept_anyway)
        leaving = (until for release, until in chosen.superseded.items() if release not in chosen.releases)
        self._superseded_until = min(leaving, default=None)
        limit = self._rules.files.max_project_size
        if limit is not None:
            found.difference_update(
                release
                for release in too_large(self.ordered, lambda one: self._wanted(one, chosen), limit)
                if release not in chosen.superseded and release not in self._kept_anyway
            )
        return found

    def choose(
        self,
        lines: Iterable[VersionRule],
        demands: Iterable[VersionRule],
        *,
        unusable: Collection[Version | str] = (),
        absent: AbstractSet[Release] = _NONE,
    ) -> tuple[Chosen, Chosen]:
        """
        Return what lines choose, and what demands choose.

        Args:
            absent: releases that are not there.
        """
        self._pass_over(unusable)
        passed = self._unusable[1]
        by_lines = [self._choice.by_line(rule, unusable=passed, absent=absent) for rule in lines]
        by_demands = [self._choice.by_demand(rule, unusable=passed, absent=absent) for rule in demands]
        return _together(by_lines), _together(by_demands)

    def admitted(self, rules: Iterable[VersionRule]) -> set[Release]:
        """Return the releases whose versions match one of several rules."""
        return {release for rule in rules for release in self._choice.admitted(rule.specifier)}

    def unresolved(self, resolved: Collection[str]) -> frozenset[Release]:
        """
        Return the releases that wait until the closure has followed what they require.

        What is published does not wait, nor what a lock pins or a person released: a lock is closed by itself.

        Args:
            resolved: versions, as ``str(Version)``.
        """
        published, kept = self._published, self.admission.reasons
        return frozenset(
            release
            for release in self.ordered
            if not release.is_among(resolved)
            and not any(names(published, file) or file.filename in kept for file in release.files)
        )

    def why_none(self, specifier: SpecifierSet, clients: int) -> tuple[UnmetReason, str]:
        """
        Return why no release satisfies a requirement, with a sentence.

        It is for a requirement that chooses nothing, though no version is unusable.
        """
        return self._absence.explain(specifier, clients)

    @cached_property
    def _choice(self) -> VersionChoice:
        return VersionChoice(
            self.ordered,
            published=self._published,
            everyone=self.admission.fitting.everyone,
            min_age=int(self._rules.age.min.total_seconds()),
            superseded=int(self._rules.superseded.total_seconds()),
            now=self.admission.now,
        )

    @cached_property
    def _absence(self) -> Absence:
        for release in self.ordered:
            release.ensure_fit()  # so that the admission is complete
        return Absence(self.admission)

    @cached_property
    def _kept_anyway(self) -> set[Release]:
        """The releases with a file that a lock pins, or that a person released."""
        kept = self.admission.reasons
        if not kept:
            return set()
        return {one for one in self.ordered if any(file.filename in kept for file in one.files)}

    def _pass_over(self, unusable: Collection[Version | str]) -> None:
        """Set the versions that installers pass over."""
        if not unusable and not self._unusable[0]:
            return
        versions = frozenset(map(str, unusable)) if unusable else frozenset[str]()
        if versions != self._unusable[0]:
            found = frozenset(release for release in self.ordered if release.is_among(versions)) if versions else _NONE
            self._unusable = versions, found
            self._known.clear()

    def _by_line(self, rule: VersionRule) -> Chosen:
        found = self._known.get((rule, True))
        if found is None:
            found = self._known[rule, True] = self._choice.by_line(rule, unusable=self._unusable[1])
        return found

    def _by_demand(self, rule: VersionRule) -> Chosen:
        found = self._known.get((rule, False))
        if found is None:
            found = self._known[rule, False] = self._choice.by_demand(rule, unusable=self._unusable[1])
        return found

    def _wanted(self, release: Release, chosen: Chosen) -> Iterable[File]:
        """Return the files that are kept of a release, as far as size does not matter."""
        release.ensure_fit()
        if release in chosen.releases:
            return release.files
        kept, is_superseded = self.admission.reasons, release in chosen.superseded
        return (
            file for file in release.files if file.filename in kept or (is_superseded and names(self._published, file))
        )


def _together(chosen: Sequence[Chosen]) -> Chosen:
    if len(chosen) == 1:
        return chosen[0]  # most projects have one line
    return reduce(or_, chosen, NOTHING)
