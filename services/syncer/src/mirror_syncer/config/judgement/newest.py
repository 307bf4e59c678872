"""The newest releases of a project that the machines can install, and those that only newer ones pushed out."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import reduce
from itertools import chain, tee
from operator import attrgetter, or_

from mirror_syncer.config.judgement.release import Release
from mirror_syncer.config.machines.compatibility import are_newest

_VERSION = attrgetter("version")


def newest(releases: Sequence[Release], count: int, *, everyone: int) -> list[Release]:
    """
    Return the newest releases: enough for each client to install ``count`` of them.

    A local version takes no place from the release that it is built of: uv locks ``1.0`` beside ``1.0+cpu``.

    Args:
        releases: the newest first, each with a version.
        everyone: all clients; once each has found enough, older releases are not looked at.
    """
    # If all releases are yanked, these count; if no client can install any, the newest ones do.
    for clients in (attrgetter("clients"), attrgetter("yanked_clients")):
        groups, same_groups = tee(_by_public_version(releases))
        masks = (reduce(or_, map(clients, group)) for group in same_groups)
        are_wanted = are_newest(masks, count, everyone=everyone)
        chosen = [group for wanted, group in zip(are_wanted, groups, strict=False) if wanted]
        if chosen:
            return list(chain.from_iterable(chosen))
    return [release for release in releases if release.candidates][:count]


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
    releases: Sequence[Release], count: int, *, min_age: int, of: Collection[Release]
) -> Iterator[tuple[Release, int]]:
    """
    Yield each release that newer ones pushed out, with the time at which that happened; in seconds since the epoch.

    It is the time from which each client of the release had ``count`` newer ones to install. A release without upload
    times counts as here from the beginning.

    Args:
        releases: the newest first.
        min_age: seconds after its upload at which a release appears.
        of: the releases to yield.
    """
    left = len(of)
    # Clients that found the same releases so far, with the negative times of the first ``count`` of them, as a heap.
    client_groups: list[tuple[int, list[int]]] = []
    for group in _by_public_version(releases):
        for release in group:
            if release in of:
                left -= 1
                heaps = [heap for clients, heap in client_groups if clients & release.clients]
                is_known = not release.clients & ~reduce(or_, (clients for clients, _ in client_groups), 0)
                if heaps and is_known and all(len(heap) == count for heap in heaps):
                    yield release, max(-heap[0] for heap in heaps)
        if not left:
            return
        time = first_appearance(group, min_age=min_age)
        client_groups = list(_found(client_groups, reduce(or_, (one.clients for one in group)), time, count))


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


def first_appearance(releases: Iterable[Release], *, min_age: int) -> int:
    """Return when the first of some releases appeared; one without upload times was here from the beginning."""
    times = [release.uploaded for release in releases if release.clients]
    if not times or None in times:
        return 0
    return int(datetime.fromisoformat(min(filter(None, times))).timestamp()) + min_age


def newest_first(releases: Iterable[Release]) -> list[Release]:
    """Return the releases that have a version, the newest first."""
    return sorted((release for release in releases if release.version is not None), key=_VERSION, reverse=True)
