"""How long a change upstream takes to become visible in the tree."""

import asyncio
import re
import time
from collections import defaultdict
from pathlib import Path

from fakepypi import Index, Status
from soak.changes import Change

_POLL_SECONDS = 0.25
_SERIAL = re.compile(rb'"_last-serial":(\d+)')


class Propagation:
    """
    Measures when each change becomes visible.

    Attributes:
        seconds: how long each change took to become visible to clients.
    """

    def __init__(self, web: Path, index: Index) -> None:
        self.seconds: list[float] = []
        self._web = web
        self._index = index
        self._waiting: defaultdict[str, list[Change]] = defaultdict(list)

    def expect(self, change: Change) -> None:
        """Wait for another change."""
        self._waiting[change.name].append(change)

    @property
    def waiting(self) -> int:
        """The number of changes that are not visible yet."""
        return sum(map(len, self._waiting.values()))

    async def run(self) -> None:
        """Check the tree until cancelled; it sends no events."""
        while True:
            names = list(self._waiting)
            for name, serial in await asyncio.to_thread(lambda names: [(n, self._serial(n)) for n in names], names):
                self._seen(name, serial)
            await asyncio.sleep(_POLL_SECONDS)

    def _seen(self, name: str, serial: int | None) -> None:
        now, left = time.monotonic(), []
        for change in self._waiting.pop(name):
            if self._is_shown(change, serial):
                self.seconds.append(now - change.at)
            else:
                left.append(change)
        if left:
            self._waiting[name] = left

    def _is_shown(self, change: Change, serial: int | None) -> bool:
        if serial is not None:
            return serial >= change.serial
        # A deleted or quarantined project has no page, and its earlier changes will never be visible.
        return self._index.project(change.name).status in (Status.ABSENT, Status.QUARANTINED)

    def _serial(self, name: str) -> int | None:
        """Return the serial of a project's published page, or None if it has no page."""
        try:
            found = _SERIAL.search((self._web / "simple" / name / "index.v1_json").read_bytes())
        except FileNotFoundError:
            return None
        return int(found[1]) if found else 0
