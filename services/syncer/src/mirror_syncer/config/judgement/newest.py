"""The newest releases of a project that the machines can install, and those that only newer ones pushed out."""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import reduce
from operator import attrgetter, or_

from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import Places

CLIENTS = attrgetter("clients")
"""Return the clients that can install a release."""
YANKED_CLIENTS = attrgetter("yanked_clients")
"""Return the clients that can install a release if only its yanked files count."""
_VERSION = attrgetter("version")


def newest_for(
    clients: int, releases: Sequence[Release], count: int, *, by: Callable[[Release], int] = CLIENTS
) -> list[Release]:
    """
    Return the newest releases for some clients, with the local versions beside them.

    A local version takes no place from the release that it is built of: uv locks ``1.0`` beside ``1.0+cpu``.

    Args:
        clients: once each of them has found enough, older releases are not looked at.
        by: returns the clients that can install a release.
    """
    chosen: list[Release] = []
    places = Places(count, everyone=clients)
    for group in _by_public_version(releases):
        if places.take(clients & reduce(or_, map(by, group))):
            chosen += group
        if places.are_taken:
            break
    return chosen


def newest_anyway(everyone: int, releases: Sequence[Release], count: int) -> list[Release]:
    """Return the newest of releases that no client installs by itself: the yanked ones, or else whatever has files."""
    yanked = newest_for(everyone, releases, count, by=YANKED_CLIENTS)
    return yanked or [release for release in releases if release.files][:count]


def _by_public_version(releases: Iterable[Release]) -> Iterator[list[Release]]:
    """Yield releases one by one, and local versions together with the release that they are built of."""
    group: list[Release] = []
    public = ""
    for release in releases:
        version = release.version
        if group and version is not None and version.public == public:
            group.append(release)
            continue
        if group:
            yield group
        group, public = [release], ""
        if version is not None and version.local is not None:
            public = version.public
        else:
            yield group
            group = []
    if group:
        yield group


def pushed_out(
    releases: Sequence[Release], count: int, *, min_age: int, of: Collection[Release], clients: int
) -> Iterator[tuple[Release, int]]:
    """
    Yield each release that newer ones pushed out, with the time at which that happened; in seconds since the epoch.

    It is the time from which each client of the release had ``count`` newer ones to install. A release without upload
    times counts as here from the beginning.

    Args:
        releases: the newest first.
        min_age: seconds after its upload at which a release appears.
        of: the releases to yield.
        clients: those that count.
    """
    left = len(of)
    # Clients that found the same releases so far, with the negative times of the first ``count`` of them, as a heap.
    client_groups: list[tuple[int, list[int]]] = []
    for group in _by_public_version(releases):
        for release in group:
            if release in of:
                left -= 1
                own = clients & release.clients
                heaps = [heap for finders, heap in client_groups if finders & own]
                is_known = not own & ~reduce(or_, (finders for finders, _ in client_groups), 0)
                if heaps and is_known and all(len(heap) == count for heap in heaps):
                    yield release, max(-heap[0] for heap in heaps)
        if not left:
            return
        time = first_appearance(group, min_age=min_age, clients=clients)
        found = clients & reduce(or_, (one.clients for one in group))
        client_groups = list(_found(client_groups, found, time, count))


def _found(
    client_groups: Iterable[tuple[int, list[int]]], clients: int, time: int, count: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield the groups of clients after some of them found a release that appeared at a time."""
    for group, heap in client_groups:
        if rest := group & ~clients:
            yield rest, heap
        if finders := group & clients:
            heap = [*heap] if rest else heap  # noqa: PLW2901 - the others keep theirs
            (heapq.heappush if len(heap) < count else heapq.heappushpop)(heap, -time)
            yield finders, heap
        clients &= ~group
    if clients:
        yield clients, [-time]


def first_appearance(releases: Iterable[Release], *, min_age: int, clients: int) -> int:
    """
    Return when the first of some releases appeared; one without upload times was here from the beginning.

    Args:
        min_age: seconds after its upload at which a release appears.
        clients: releases that none of these can install do not count.
    """
    times = [release.uploaded for release in releases if clients & release.clients]
    if not times or None in times:
        return 0
    return int(datetime.fromisoformat(min(filter(None, times))).timestamp()) + min_age


def first_appearances(releases: Iterable[Release], *, min_age: int, clients: int) -> list[tuple[int, int]]:
    """
    Return groups of clients, each with the time at which the first release appeared that these can install.

    Each client is in one group, or in none if it can install none of the releases.
    """
    client_groups: list[tuple[int, list[int]]] = []
    for release in releases:
        if found := clients & release.clients:
            time = first_appearance((release,), min_age=min_age, clients=clients)
            client_groups = list(_found(client_groups, found, time, 1))
    return [(found, -heap[0]) for found, heap in client_groups]


def newest_first(releases: Iterable[Release]) -> list[Release]:
    """Return the releases that have a version, the newest first."""
    return sorted([release for release in releases if release.version is not None], key=_VERSION, reverse=True)
