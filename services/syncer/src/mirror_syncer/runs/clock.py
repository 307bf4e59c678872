"""
The host's clock, and what follows when somebody sets it.

Times in the catalog are the host's: when a project is tried again, when it was looked at, when a file leaves. Where the
clock is set they are moved along, so that a grace period stays as long as it was, and nothing waits for a day that was
a mistake.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

import structlog

from mirror_syncer.catalog import Catalog, Fact

log = structlog.get_logger()

_LOOK_SECONDS = 30.0
_SET_SECONDS = 60  # what NTP slews, and a busy host takes between two readings, is less


def _since_boot() -> float:
    """Return seconds of a clock that nobody sets; a night in which the host slept is time that passed."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """
    Holds the host's clock against one that nobody sets; over a restart, against the last time it saw.

    A clock that was set forward while no syncer ran cannot be told from one that was off so long: grace periods that
    ended meanwhile are over.

    Attributes:
        listeners: called, in the event loop, when it was set.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._ahead = self._difference()
        self._asked = asyncio.Lock()
        self.listeners = list[Callable[[], None]]()

    def begin(self) -> None:
        """Look whether it was set back since the last syncer looked."""
        last = self._catalog.recall(Fact.LAST_CLOCK)
        if last is not None and (back := int(time.time()) - int(last)) <= -_SET_SECONDS:
            self._move(back)
        self._remember()

    async def run(self) -> NoReturn:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
                await asyncio.to_thread(self._remember)
            except Exception as error:  # noqa: BLE001 - a catalog that is away for now; the next look moves the times
                log.warning("clock not noted", reason=str(error))

    async def look(self) -> None:
        """Move the catalog's times along, and tell the listeners, where it was set."""
        async with self._asked:
            now = self._difference()
            if abs(step := round(now - self._ahead)) < _SET_SECONDS:
                return
            await asyncio.to_thread(self._move, step)
            self._ahead = now
        for listener in self.listeners:
            listener()

    def _move(self, seconds: int) -> None:
        log.warning("the clock was set", seconds=seconds, meanwhile="what waits is moved along with it")
        self._catalog.shift_times(seconds)
        self._remember()

    def _remember(self) -> None:
        self._catalog.remember(Fact.LAST_CLOCK, str(int(time.time())))

    def _difference(self) -> float:
        return time.time() - _since_boot()
