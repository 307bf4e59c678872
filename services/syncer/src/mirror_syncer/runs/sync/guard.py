"""
The deletion guard: whether what upstream deleted may leave, and from which projects it deleted something lately.

It covers a day rather than a run: an upstream that deletes 1 % every half hour would empty half of a mirror in a day
and a half, and every run would succeed.
"""

import json
import time
from collections.abc import Callable, Iterable

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog, Fact

_WINDOW_SECONDS = 86_400


class DeletionGuard:
    """
    The guard. A project that left, or lost files, because upstream deleted them counts once a day.

    Its calls block. A day's maximum for all of PyPI, 9,000 names, takes 300 kB.

    Args:
        clock: the time, in seconds since the epoch.
    """

    def __init__(self, catalog: Catalog, *, clock: Callable[[], float] = time.time) -> None:
        self._catalog = catalog
        self._clock = clock

    def recent(self) -> set[NormalizedName]:
        """Return the projects that lost something within the last day."""
        return set(self._load())

    def withholds(self, names: Iterable[NormalizedName], *, allowed: int, overridden: bool = False) -> bool:
        """
        Return whether these projects must not lose anything now.

        Args:
            allowed: how many projects may lose something: within a day, or in this run if a person said so.
            overridden: a person said so, and the removals of the last day do not count.
        """
        names = set(names)
        return bool(names) and len(names if overridden else names | self.recent()) > allowed

    def count_guarded(self) -> int:
        """Return how many projects the guard's share refers to: published now, or until upstream deleted them today."""
        rows = map(self._catalog.projects.get, self._load())
        return self._catalog.projects.count_published() + sum(row is None or not row.published for row in rows)

    def record(self, names: Iterable[NormalizedName]) -> None:
        """Record that these projects lose something now, unless they are recorded already."""
        now = int(self._clock())
        removed = dict.fromkeys(names, now) | self._load()
        self._catalog.remember(Fact.RECENT_REMOVALS, json.dumps(removed))

    def _load(self) -> dict[NormalizedName, int]:
        now = int(self._clock())
        removed: dict[NormalizedName, int] = json.loads(self._catalog.recall(Fact.RECENT_REMOVALS) or "{}")
        return {name: at for name, at in removed.items() if now - _WINDOW_SECONDS < at <= now}
