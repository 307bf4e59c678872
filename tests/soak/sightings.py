"""When what changed upstream can be seen in the tree."""

import asyncio
import re
import time
from collections import defaultdict
from pathlib import Path

from fakepypi import Index, Status
from soak.changes import Change

_LOOK_SECONDS = 0.25
_SERIAL = re.compile(rb'"_last-serial":(\d+)')


class Sightings:
    """
    Waits for each change to be seen.

    Attributes:
        seconds: from a change until a client could see it.
    """

    def __init__(self, web: Path, index: Index) -> None:
        self.seconds: list[float] = []
        self._web = web
        self._index = index
        self._waiting: defaultdict[str, list[Change]] = defaultdict(list)

    def expect(self, change: Change) -> None:
        """Wait for one more."""
        self._waiting[change.name].append(change)

    @property
    def waiting(self) -> int:
        """How many are not seen yet."""
        return sum(map(len, self._waiting.values()))

    async def run(self) -> None:
        """Look until cancelled; the tree tells nobody."""
        while True:
            names = list(self._waiting)
            for name, serial in await asyncio.to_thread(lambda names: [(n, self._serial(n)) for n in names], names):
                self._seen(name, serial)
            await asyncio.sleep(_LOOK_SECONDS)

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
        # What is deleted or in quarantine has no page; nor will what happened to it before ever have one.
        return self._index.project(change.name).status in (Status.ABSENT, Status.QUARANTINED)

    def _serial(self, name: str) -> int | None:
        """Return the serial of a project's published page, or None where it has none."""
        try:
            found = _SERIAL.search((self._web / "simple" / name / "index.v1_json").read_bytes())
        except FileNotFoundError:
            return None
        return int(found[1]) if found else 0
