"""The connection budget: never more requests at once than configured; waiting requests are served by priority."""

import asyncio
import heapq

from mirror_syncer.model.priority import Priority

_STREAMS_PER_CONNECTION = 8  # at 40 ms latency, HTTP/2 serves five times the requests of HTTP/1.1


class Budget:
    """
    A pool of connections, assigned by priority.

    With two or more, one is reserved for projects that a person named: ``sync requests`` must not wait for
    a 2 GB wheel of another project.
    """

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self._max_requests = connections
        self._multiplexing_disabled = False
        self._in_use = 0
        self._tickets = 0
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []

    def enable_multiplexing(self) -> None:
        """Allow several requests per connection, once upstream has multiplexed one."""
        if self._multiplexing_disabled or self._max_requests > self.connections:
            return
        self._max_requests = self.connections * _STREAMS_PER_CONNECTION
        self._grant_waiting()

    def disable_multiplexing(self) -> None:
        """
        Allow one request per connection from now on, because a host of this upstream does not multiplex.

        Requests must wait here: one that waits inside libcurl fails after the connect timeout.
        """
        self._multiplexing_disabled, self._max_requests = True, self.connections

    def try_acquire(self, priority: Priority) -> bool:
        """Acquire a connection if one is free and no request waits; ``release`` returns it."""
        if self._waiting or not self._has_room_for(priority):
            return False
        self._in_use += 1
        return True

    async def acquire(self, priority: Priority) -> None:
        """Wait for a connection and acquire it. Cancellation only gives up the place in the queue."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets += 1
        heapq.heappush(self._waiting, (priority, self._tickets, place))
        self._grant_waiting()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # granted and cancelled in the same iteration of the loop
                self.release()
            raise

    def release(self) -> None:
        """Return a connection."""
        self._in_use -= 1
        self._grant_waiting()

    def _has_room_for(self, priority: Priority) -> bool:
        reserved = 1 if priority is not Priority.NAMED and self._max_requests > 1 else 0
        return self._in_use < self._max_requests - reserved

    def _grant_waiting(self) -> None:
        while self._waiting:
            priority, _, place = self._waiting[0]
            if not place.done() and not self._has_room_for(priority):
                return
            heapq.heappop(self._waiting)
            if not place.done():
                self._in_use += 1
                place.set_result(None)
