"""
What the deletion guard remembers: whom upstream took something from within a day.

It measures a day, not a run: an upstream that takes 1 % each half hour would have half of a mirror in a day and a half,
and every run would succeed.
"""

import json
import time
from collections.abc import Callable, Iterable

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog, Fact

_SECONDS = 86_400


class RecentRemovals:
    """
    The projects that left, or lost files, because upstream has them no more; each counts once a day.

    Its calls block; 9,000 names, a day's bound for all of PyPI, are 300 kB.

    Args:
        clock: the time, in seconds since the epoch.
    """

    def __init__(self, catalog: Catalog, *, clock: Callable[[], float] = time.time) -> None:
        self._catalog = catalog
        self._clock = clock

    def lately(self) -> set[NormalizedName]:
        """Return whom something was taken from within a day."""
        return set(self._load())

    def of_how_many(self) -> int:
        """Return what the guard's share is of: how many are published, or were until upstream took them today."""
        rows = map(self._catalog.projects.get, self._load())
        return self._catalog.projects.count_published() + sum(row is None or not row.published for row in rows)

    def note(self, names: Iterable[NormalizedName]) -> None:
        """Remember that something is being taken from these, unless they lost something today already."""
        now = int(self._clock())
        taken = dict.fromkeys(names, now) | self._load()
        self._catalog.remember(Fact.RECENT_REMOVALS, json.dumps(taken))

    def _load(self) -> dict[NormalizedName, int]:
        now = int(self._clock())
        taken: dict[NormalizedName, int] = json.loads(self._catalog.recall(Fact.RECENT_REMOVALS) or "{}")
        return {name: at for name, at in taken.items() if now - _SECONDS < at <= now}
