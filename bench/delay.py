"""A network delay: ``python -m bench.delay FROM TO SECONDS`` forwards bytes after a delay."""

import asyncio
import sys
from typing import cast

_IN_FLIGHT_MOST = 4 * 2**20  # per direction: a full window of 100 MB/s over 40 ms, and a limit on memory


class End(asyncio.Protocol):
    """One end of the connection; its bytes leave at the other end."""

    def __init__(self, *, seconds: float) -> None:
        self.other: asyncio.Transport | None = None
        self._seconds = seconds
        self._in_flight = 0
        self._loop = asyncio.get_running_loop()
        self._own: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start forwarding."""
        self._own = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Forward the data after the delay."""
        self._in_flight += len(data)
        if self._in_flight > _IN_FLIGHT_MOST and self._own:
            self._own.pause_reading()
        self._loop.call_later(self._seconds, self._deliver, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Close the other end once all data has arrived."""
        if self.other:
            self._loop.call_later(self._seconds, self.other.close)

    def _deliver(self, data: bytes) -> None:
        self._in_flight -= len(data)
        if self.other and not self.other.is_closing():
            self.other.write(data)
        if self._own and not self._own.is_reading() and not self._own.is_closing():
            self._own.resume_reading()


class Entrance(End):
    """The accepting end, which connects the other one before it reads."""

    def __init__(self, *, target: int, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self._target = target
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start forwarding."""
        super().connection_made(transport)
        near = cast("asyncio.Transport", transport)
        near.pause_reading()
        self._connecting = self._loop.create_task(self._connect(near))

    async def _connect(self, near: asyncio.Transport) -> None:
        far, exit_ = await self._loop.create_connection(lambda: End(seconds=self._seconds), "127.0.0.1", self._target)
        self.other, exit_.other = far, near
        near.resume_reading()


async def serve(port: int, target: int, *, seconds: float) -> None:
    """Forward connections until terminated."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Entrance(target=target, seconds=seconds), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), seconds=float(sys.argv[3])))
