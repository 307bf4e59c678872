"""The budget of connections: never more at once than configured, and those who wait go by priority."""

import asyncio
import heapq

from mirror_syncer.model.priority import Priority

_STREAMS_PER_CONNECTION = 8  # requests at once on a connection of HTTP/2: over 40 ms, five times those of HTTP/1.1


class Budget:
    """
    So many connections, lent by priority.

    With two or more, one is kept for projects that a person named: ``sync requests`` must not wait for
    somebody's 2 GB wheel.
    """

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self._most = connections
        self._multiplexing_disabled = False
        self._in_use = 0
        self._tickets = 0
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []

    def enable_multiplexing(self) -> None:
        """Let each connection carry several requests, now that upstream has shown that it multiplexes them."""
        if self._multiplexing_disabled or self._most > self.connections:
            return
        self._most = self.connections * _STREAMS_PER_CONNECTION
        self._grant_waiting()

    def disable_multiplexing(self) -> None:
        """
        Let each connection carry one request, for good: a host of this upstream, its files' perhaps, multiplexes none.

        Whoever waited for a connection of libcurl's, and not here, would be given up after the time to connect.
        """
        self._multiplexing_disabled, self._most = True, self.connections

    def take(self, priority: Priority) -> bool:
        """Take a connection if one is free and nobody waits; ``release`` returns it."""
        if self._waiting or not self._has_room_for(priority):
            return False
        self._in_use += 1
        return True

    async def wait(self, priority: Priority) -> None:
        """Take one as soon as it is free; a cancelled wait gives up its place and nothing else."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets += 1
        heapq.heappush(self._waiting, (priority, self._tickets, place))
        self._grant_waiting()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # lent and cancelled in the same turn of the loop
                self.release()
            raise

    def release(self) -> None:
        """Return what was taken."""
        self._in_use -= 1
        self._grant_waiting()

    def _has_room_for(self, priority: Priority) -> bool:
        kept = 1 if priority is not Priority.NAMED and self._most > 1 else 0
        return self._in_use < self._most - kept

    def _grant_waiting(self) -> None:
        while self._waiting:
            priority, _, place = self._waiting[0]
            if not place.done() and not self._has_room_for(priority):
                return
            heapq.heappop(self._waiting)
            if not place.done():
                self._in_use += 1
                place.set_result(None)
