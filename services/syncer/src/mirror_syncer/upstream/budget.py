"""The budget of connections: never more at once than configured, and those who wait go by priority."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mirror_syncer.priority import Priority

_STREAMS = 8  # requests at once on a connection of HTTP/2: over 40 ms, five times those of HTTP/1.1


class Budget:
    """
    So many connections, lent by priority.

    With two or more, one is kept for projects that a person named: ``sync requests`` must not wait for
    somebody's 2 GB wheel.
    """

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self._most = connections
        self._lent = 0
        self._asked = 0
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []

    def widen(self) -> None:
        """Let each connection carry several requests, now that upstream has shown that it multiplexes them."""
        self._most = self.connections * _STREAMS
        self._wake()

    @asynccontextmanager
    async def connection(self, priority: Priority) -> AsyncIterator[None]:
        """Hold one connection; a cancelled wait gives up its place and nothing else."""
        await self._acquire(priority)
        try:
            yield
        finally:
            self._lent -= 1
            self._wake()

    def _free_for(self, priority: Priority) -> bool:
        kept = 1 if priority is not Priority.NAMED and self._most > 1 else 0
        return self._lent < self._most - kept

    async def _acquire(self, priority: Priority) -> None:
        if self._free_for(priority) and not self._waiting:
            self._lent += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked += 1
        heapq.heappush(self._waiting, (priority, self._asked, place))
        self._wake()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # lent and cancelled in the same turn of the loop
                self._lent -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting:
            priority, _, place = self._waiting[0]
            if not place.done() and not self._free_for(priority):
                return
            heapq.heappop(self._waiting)
            if not place.done():
                self._lent += 1
                place.set_result(None)
