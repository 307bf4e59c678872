"""The budget of connections: never more at once than configured, and those who wait go by priority."""

import asyncio
import heapq

from mirror_syncer.model.priority import Priority

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
        self._narrow = False
        self._lent = 0
        self._asked = 0
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []

    def widen(self) -> None:
        """Let each connection carry several requests, now that upstream has shown that it multiplexes them."""
        if self._narrow or self._most > self.connections:
            return
        self._most = self.connections * _STREAMS
        self._wake()

    def narrow(self) -> None:
        """
        Let each connection carry one request, for good: a host of this upstream, its files' perhaps, multiplexes none.

        Whoever waited for a connection of libcurl's, and not here, would be given up after the time to connect.
        """
        self._narrow, self._most = True, self.connections

    def take(self, priority: Priority) -> bool:
        """Take a connection if one is free and nobody waits; ``give_back`` returns it."""
        if self._waiting or not self._free_for(priority):
            return False
        self._lent += 1
        return True

    async def wait(self, priority: Priority) -> None:
        """Take one as soon as it is free; a cancelled wait gives up its place and nothing else."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked += 1
        heapq.heappush(self._waiting, (priority, self._asked, place))
        self._wake()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # lent and cancelled in the same turn of the loop
                self.give_back()
            raise

    def give_back(self) -> None:
        """Return what was taken."""
        self._lent -= 1
        self._wake()

    def _free_for(self, priority: Priority) -> bool:
        kept = 1 if priority is not Priority.NAMED and self._most > 1 else 0
        return self._lent < self._most - kept

    def _wake(self) -> None:
        while self._waiting:
            priority, _, place = self._waiting[0]
            if not place.done() and not self._free_for(priority):
                return
            heapq.heappop(self._waiting)
            if not place.done():
                self._lent += 1
                place.set_result(None)
