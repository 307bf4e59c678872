"""
The releases that a version rule chooses of a page: the newest that match, and those that newer ones pushed out lately.

A rule without ``clients`` is a line as people write it: it counts finals if any client can install one, and where no
client can install any it takes the newest. A rule with ``clients`` counts what each of these can install.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property, reduce
from operator import attrgetter, or_
from typing import NamedTuple

from packaging.specifiers import SpecifierSet

from mirror_syncer.config.judgement.newest import YANKED_CLIENTS, first_appearance, newest, newest_for, pushed_out
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
        if rule.clients is None and rule.takes_yanked:
            return self._chosen_for_all(rule, admitted)
        finals = _without(admitted, self._prereleases)
        clients = self._everyone if rule.clients is None else self._everyone & rule.clients
        return self._chosen_for(clients, rule, admitted, finals)

    def _chosen_for_all(self, rule: VersionRule, admitted: Sequence[Release]) -> Chosen:
        """Return what a rule chooses that counts for all clients together."""
        if rule.latest is None and rule.with_prereleases:
            return Chosen(set(admitted), {})  # nothing pushes anything out
        finals = _without(admitted, self._prereleases)
        counted = finals if any(release.clients for release in finals) else admitted
        series = [counted, admitted] if rule.with_prereleases and counted is not admitted else [counted]
        count, everyone = rule.latest, self._everyone
        if count is None:
            chosen = set(series[-1])
        else:
            chosen = set(newest(series[0], count, everyone=everyone))
            for some in series[1:]:
                chosen.update(newest(some, count, everyone=everyone))
        return Chosen(chosen, self._pushed_out(everyone, rule, series, chosen, admitted=admitted, finals=finals))

    def _chosen_for(
        self, clients: int, rule: VersionRule, admitted: Sequence[Release], finals: Sequence[Release]
    ) -> Chosen:
        """Return what a rule chooses for each of some clients, which looks at nothing that it cannot install."""
        count = len(admitted) if rule.latest is None else rule.latest
        found = newest_for(clients, finals, count)
        without_final = clients & ~_any(release.clients for release in found)
        found += newest_for(clients if rule.with_prereleases else without_final, admitted, count)
        chosen = {release for release in found if clients & release.clients}
        if rule.takes_yanked and (rest := clients & ~_any(release.clients for release in chosen)):
            yanked = newest_for(rest, admitted, count, by=YANKED_CLIENTS)
            chosen.update(release for release in yanked if rest & release.yanked_clients)
        series = [finals, admitted] if rule.with_prereleases else [finals]
        return Chosen(chosen, self._pushed_out(clients, rule, series, chosen, admitted=admitted, finals=finals))

    def _pushed_out(
        self,
        clients: int,
        rule: VersionRule,
        series: Sequence[Sequence[Release]],
        chosen: AbstractSet[Release],
        *,
        admitted: Sequence[Release],
        finals: Sequence[Release],
    ) -> Mapping[Release, int]:
        """Return until when each published release stays that newer ones of a series pushed out: old locks need it."""
        if not self._keeps_superseded:
            return {}
        left: list[tuple[Release, int]] = []
        if not rule.with_prereleases and finals is not admitted:
            left += self._prereleases_before(finals, admitted, clients)
        count = rule.latest
        # Mostly all that is published is chosen again.
        if self._published.keys() <= {file.filename for release in chosen for file in release.files}:
            count = None
        for releases in series if count is not None else ():
            others = {release for release in releases if release not in chosen and self._is_published(release)}
            if others and count is not None:
                left += pushed_out(releases, count, min_age=self._min_age, of=others, clients=clients)
        until: dict[Release, int] = {}
        for release, since in left:
            if self._now < since + self._superseded:
                until[release] = max(since + self._superseded, until.get(release, 0))
        return until

    def _prereleases_before(
        self, finals: Iterable[Release], admitted: Iterable[Release], clients: int
    ) -> Iterator[tuple[Release, int]]:
        """Yield the published pre-releases of a project that had nothing else until its first final release."""
        published = [one for one in admitted if one in self._prereleases and self._is_published(one)]
        if published and any(clients & release.clients for release in finals):
            since = first_appearance(finals, min_age=self._min_age, clients=clients)
            yield from ((release, since) for release in published)

    def _is_published(self, release: Release) -> bool:
        return any(names(self._published, file) for file in release.files)


def _without(releases: Sequence[Release], others: AbstractSet[Release]) -> Sequence[Release]:
    """Return the releases that are not among others; the same object if that is all of them."""
    if not others or others.isdisjoint(releases):
        return releases
    return [release for release in releases if release not in others]


def _spells(release: Release, specifier: SpecifierSet) -> bool:
    return any(specifier.contains(version, prereleases=True) for version in release.equal_versions)


def _any(masks: Iterable[int]) -> int:
    """Return the clients of any of several masks."""
    return reduce(or_, masks, 0)
