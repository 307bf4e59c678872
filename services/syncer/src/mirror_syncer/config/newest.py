"""The newest releases of a project that the machines can install, and those that only newer ones pushed out."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import reduce
from itertools import chain, groupby
from operator import attrgetter, or_

from packaging.version import Version

from mirror_syncer.config.compatibility import are_newest
from mirror_syncer.config.release import Release


def newest(releases: Sequence[Release], count: int) -> list[Release]:
    """
    Return the newest releases of which each client can install so many.

    A local version takes no place from the release that it is built of: uv locks ``1.0`` beside ``1.0+cpu``.

    Args:
        releases: the newest first, each with a version.
    """
    groups = list(_by_public_version(releases))
    # If all is yanked, it counts; what nobody installs is still what the project has.
    for clients in (attrgetter("clients"), attrgetter("yanked_clients")):
        masks = [reduce(or_, map(clients, group)) for group in groups]
        chosen = [group for group, wanted in zip(groups, are_newest(masks, count), strict=True) if wanted]
        if chosen:
            return list(chain.from_iterable(chosen))
    return list(releases[:count])


def _by_public_version(releases: Sequence[Release]) -> Iterator[list[Release]]:
    if not any(release.version is not None and release.version.local for release in releases):
        yield from ([release] for release in releases)
        return
    for _, group in groupby(releases, key=lambda release: release.version and release.version.public):
        yield list(group)


def pushed_out(releases: Sequence[Release], count: int, *, min_age: int) -> Iterator[tuple[Release, int]]:
    """
    Yield each release with the time at which newer ones took its last place; in seconds since the epoch.

    It is the time when the last client that installs it had so many newer releases to install. Nothing is yielded for
    a release that no newer ones pushed out. A release without upload times counts as here from the beginning.

    Args:
        releases: the newest first.
        min_age: seconds after its upload at which a release appears.
    """
    earliest: dict[int, list[int]] = {}  # by client: the negative times of the first ``count`` releases, as a heap
    for release in releases:
        heaps = [earliest.setdefault(client, []) for client in _bits(release.clients)]
        if heaps and all(len(heap) == count for heap in heaps):
            yield release, max(-heap[0] for heap in heaps)
        uploaded = release.uploaded
        time = int(datetime.fromisoformat(uploaded).timestamp()) + min_age if uploaded else 0
        for heap in heaps:
            if len(heap) < count:
                heapq.heappush(heap, -time)
            else:
                heapq.heappushpop(heap, -time)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest
        mask ^= lowest


def newest_first(releases: Iterable[Release]) -> list[Release]:
    """Return the releases that have a version, the newest first."""
    return sorted((release for release in releases if release.version is not None), key=_version, reverse=True)


def _version(release: Release) -> Version:
    assert release.version is not None
    return release.version
