"""
The host's clock, and the correction of stored times after somebody sets it.

The catalog stores times of the host's clock: of retries, checks and removals. When the clock is set, they are shifted
with it, so that grace periods keep their length and no retry waits for a date that was a mistake.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

import structlog

from mirror_syncer.catalog import Catalog, Fact

log = structlog.get_logger()

_CHECK_SECONDS = 30.0
_MIN_STEP_SECONDS = 60  # NTP's slewing, and a busy host between two readings, stay below


def _since_boot() -> float:
    """Return the seconds since boot, including those in which the host was suspended; nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """
    Detects that the host's clock was set, by comparing it with the time since boot.

    After a restart only a step back is detected: a step forward looks like a host that was off for so long.

    Attributes:
        listeners: called in the event loop after the clock was set.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._offset = self._current_offset()
        self._checking = asyncio.Lock()
        self.listeners = list[Callable[[], None]]()

    def start(self) -> None:
        """Check whether the clock was set back while no syncer ran."""
        last = self._catalog.recall(Fact.CLOCK)
        if last is not None and (back := int(time.time()) - int(last)) <= -_MIN_STEP_SECONDS:
            self._shift_times(back)
        self._remember()

    async def run(self) -> NoReturn:
        """Check the clock every half minute until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            try:
                await self.check()
                await asyncio.to_thread(self._remember)
            except Exception as error:  # noqa: BLE001 - the catalog is away; the next check shifts the times
                log.warning("the clock could not be checked", why=str(error))

    async def check(self) -> None:
        """Shift the catalog's times and call the listeners if the clock was set."""
        async with self._checking:
            now = self._current_offset()
            if abs(step := round(now - self._offset)) < _MIN_STEP_SECONDS:
                return
            await asyncio.to_thread(self._shift_times, step)
            self._offset = now
        for listener in self.listeners:
            listener()

    def _shift_times(self, seconds: int) -> None:
        log.warning("the system clock was set; stored times are shifted with it", seconds=seconds)
        self._catalog.move_times(seconds)
        self._remember()

    def _remember(self) -> None:
        self._catalog.remember(Fact.CLOCK, str(int(time.time())))

    def _current_offset(self) -> float:
        return time.time() - _since_boot()
