"""
The releases that a version rule chooses of a page: the newest that match, and those that newer ones pushed out lately.

Each client has its own newest releases: finals, or pre-releases where it can install no final, as pip and uv do. A rule
without ``clients`` is a line as people write it: where no client can install any release, it takes the newest. A rule
with ``clients`` takes nothing that these cannot install.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property, reduce
from operator import attrgetter, or_
from typing import NamedTuple

from packaging.specifiers import SpecifierSet

from mirror_syncer.config.judgement.newest import (
    YANKED_CLIENTS,
    first_appearances,
    newest_anyway,
    newest_for,
    pushed_out,
)
from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.policy.selection import VersionRule
from mirror_syncer.model.page import File, names

_VERSION = attrgetter("version")
_NONE: frozenset[Release] = frozenset()


class Chosen(NamedTuple):
    """The releases that rules choose."""

    releases: AbstractSet[Release]
    superseded: Mapping[Release, int]
    """Published releases that newer ones pushed out, each with the time until which it stays."""

    def __or__(self, other: "Chosen") -> "Chosen":
        """Return what either chooses; a superseded release stays for the longer of two times."""
        if not other.superseded:
            return Chosen(self.releases | other.releases, self.superseded)
        superseded = dict(self.superseded)
        for release, until in other.superseded.items():
            superseded[release] = max(until, superseded.get(release, until))
        return Chosen(self.releases | other.releases, superseded)


NOTHING = Chosen(_NONE, {})


class VersionChoice:
    """
    Applies version rules to the releases of one page; it remembers what each specifier admits.

    Args:
        releases: the newest first, each with a version.
        everyone: all clients.
        min_age: seconds after its upload at which a release appears.
        superseded: seconds for which a published release stays after newer ones pushed it out.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        releases: Sequence[Release],
        *,
        published: Mapping[str, File],
        everyone: int,
        min_age: int,
        superseded: int,
        now: int,
    ) -> None:
        self._releases = releases
        self._published = published
        self._everyone = everyone
        self._min_age = min_age
        self._superseded = superseded
        self._keeps_superseded = bool(published and superseded)
        self._now = now
        # By identity, beside the specifier itself: its hash would take longer than to apply it to a usual page.
        self._admitted: dict[int, tuple[SpecifierSet, Sequence[Release]]] = {}

    def admitted(self, specifier: SpecifierSet) -> Sequence[Release]:
        """Return the releases that a specifier admits, the newest first; ``===`` compares each spelling as text."""
        if not specifier:
            return self._releases
        if (known := self._admitted.get(id(specifier))) is not None:
            return known[1]
        found = list(specifier.filter(self._releases, prereleases=True, key=_VERSION))
        if "===" in str(specifier):
            found = [release for release in self._releases if release in found or _spells(release, specifier)]
        self._admitted[id(specifier)] = specifier, found
        return found

    def by_line(
        self, rule: VersionRule, *, unusable: AbstractSet[Release] = _NONE, absent: AbstractSet[Release] = _NONE
    ) -> Chosen:
        """
        Return what a line chooses.

        Args:
            unusable: releases that installers pass over: they are chosen, and take no place from others.
            absent: releases that are not there.
        """
        admitted = _without(self.admitted(rule.specifier), absent)
        chosen = self._chosen(rule, admitted)
        if unusable and not unusable.isdisjoint(admitted):
            chosen |= self._chosen(rule, _without(admitted, unusable))
        return chosen

    def by_demand(
        self, rule: VersionRule, *, unusable: AbstractSet[Release] = _NONE, absent: AbstractSet[Release] = _NONE
    ) -> Chosen:
        """Return what a demand chooses: nothing that is unusable or absent."""
        return self._chosen(rule, _without(_without(self.admitted(rule.specifier), absent), unusable))

    @cached_property
    def _prereleases(self) -> frozenset[Release]:
        return frozenset([release for release in self._releases if release.is_prerelease])

    def _chosen(self, rule: VersionRule, admitted: Sequence[Release]) -> Chosen:
        is_line = rule.clients is None and rule.takes_yanked
        if is_line and rule.latest is None and rule.with_prereleases:
            return Chosen(set(admitted), {})
        finals = _without(admitted, self._prereleases)
        clients = self._everyone if rule.clients is None else self._everyone & rule.clients
        if is_line:
            chosen = self._chosen_by_line(rule, admitted, finals)
        else:
            chosen = self._chosen_by_demand(clients, rule, admitted, finals)
        if not self._keeps_superseded or (rule.latest is None and rule.with_prereleases):
            return Chosen(chosen, {})  # nothing pushes anything out
        return Chosen(chosen, self._pushed_out(clients, rule, chosen, admitted=admitted, finals=finals))

    def _chosen_by_line(
        self, rule: VersionRule, admitted: Sequence[Release], finals: Sequence[Release]
    ) -> set[Release]:
        """Return what a line chooses, which is something that no client can install where there is nothing else."""
        everyone, count = self._everyone, rule.latest
        if count is not None:
            found = self._newest(everyone, rule, admitted, finals)
            return set(found or newest_anyway(everyone, admitted, count))
        if finals is admitted:
            return set(admitted)
        lacking = everyone & ~_any(release.clients for release in finals)
        if lacking == everyone:
            return set(admitted)
        early = self._prereleases.intersection(admitted) if lacking else _NONE
        return {*finals, *(release for release in early if lacking & (release.clients | release.yanked_clients))}

    def _chosen_by_demand(
        self, clients: int, rule: VersionRule, admitted: Sequence[Release], finals: Sequence[Release]
    ) -> set[Release]:
        """Return what a demand chooses for some clients: nothing that they cannot install."""
        found = self._newest(clients, rule, admitted, finals)
        chosen = {release for release in found if clients & release.clients}
        if rule.takes_yanked and (rest := clients & ~_any(release.clients for release in chosen)):
            yanked = newest_for(rest, admitted, _count(rule, admitted), by=YANKED_CLIENTS)
            chosen.update(release for release in yanked if rest & release.yanked_clients)
        return chosen

    def _newest(
        self, clients: int, rule: VersionRule, admitted: Sequence[Release], finals: Sequence[Release]
    ) -> list[Release]:
        """Return the newest finals that each client can install, and pre-releases where it has none, as pip and uv."""
        count = _count(rule, admitted)
        found = newest_for(clients, finals, count)
        if finals is admitted:
            return found
        others = clients if rule.with_prereleases else clients & ~_any(release.clients for release in found)
        return found + newest_for(others, admitted, count) if others else found

    def _pushed_out(
        self,
        clients: int,
        rule: VersionRule,
        chosen: AbstractSet[Release],
        *,
        admitted: Sequence[Release],
        finals: Sequence[Release],
    ) -> Mapping[Release, int]:
        """Return until when each published release stays that newer ones pushed out: old locks need it."""
        # Mostly all that is published is chosen again.
        if self._published.keys() <= {file.filename for release in chosen for file in release.files}:
            return {}
        others = {release for release in admitted if release not in chosen and self._is_published(release)}
        early = others & self._prereleases
        min_age = self._min_age
        left: list[tuple[Release, int]] = []
        with_prereleases = clients
        if not rule.with_prereleases and early:
            # A client takes pre-releases until its first final.
            firsts = first_appearances(finals, min_age=min_age, clients=clients)
            with_prereleases &= ~_any(found for found, _ in firsts)
            times = {release: [time for found, time in firsts if found & release.clients] for release in early}
            left += [(release, max(some)) for release, some in times.items() if some]
        if rule.latest is not None:
            count = rule.latest
            if late := others - early:
                left += pushed_out(finals, count, min_age=min_age, of=late, clients=clients)
            if of := others if rule.with_prereleases else early:
                left += pushed_out(admitted, count, min_age=min_age, of=of, clients=with_prereleases)
        until: dict[Release, int] = {}
        for release, since in left:
            if self._now < since + self._superseded:
                until[release] = max(since + self._superseded, until.get(release, 0))
        return until

    def _is_published(self, release: Release) -> bool:
        return any(names(self._published, file) for file in release.files)


def _without(releases: Sequence[Release], others: AbstractSet[Release]) -> Sequence[Release]:
    """Return the releases that are not among others; the same object if that is all of them."""
    if not others or others.isdisjoint(releases):
        return releases
    return [release for release in releases if release not in others]


def _spells(release: Release, specifier: SpecifierSet) -> bool:
    return any(specifier.contains(version, prereleases=True) for version in release.equal_versions)


def _count(rule: VersionRule, admitted: Sequence[Release]) -> int:
    return len(admitted) if rule.latest is None else rule.latest


def _any(masks: Iterable[int]) -> int:
    """Return the clients of any of several masks."""
    return reduce(or_, masks, 0)
