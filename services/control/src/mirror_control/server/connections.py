"""Limits on connections and on the time that a client may take: no nginx protects control's own port."""

import asyncio
from typing import Any, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS: Final = 1_500
"""More than the 1,000 clients that may watch runs. Each connection takes about 30 kB of 256 MB."""
# As in nginx: a request's head fits into one packet.
HEAD_SECONDS: Final = 10.0
# For the whole body, after the head: 1 MiB at 280 kbit/s.
BODY_SECONDS: Final = 30.0
# Without reading any of the answer; as in nginx.
UNREAD_SECONDS: Final = 60.0


class BoundedProtocol(H11Protocol):
    """
    A connection that is closed if its client takes too long.

    Uvicorn itself only limits the pause between two requests, up to the first byte. If there are too many connections,
    the oldest idle one is closed.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 uvicorn's signature
        super().__init__(*arguments, **options)
        self._opened = self.loop.time()
        self._awaited: object = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection; if there are too many and none is idle, refuse it."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS and not self._close_idle_connection():
            transport.abort()
            return
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all deadlines."""
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data, and set the deadline for the next part of the request."""
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        """Set the deadline for the next request."""
        super().on_response_complete()
        self._set_deadline()

    def pause_writing(self) -> None:
        """Set a deadline for a client that does not read."""
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the deadline: the client reads again."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is active and the connection is open."""
        return self.conn.their_state is h11.IDLE and not self.transport.is_closing()

    def _set_deadline(self) -> None:
        """Set a deadline for the next head or body, once and not again with each byte."""
        awaited = self.conn.their_state
        if awaited is self._awaited:
            return
        self._awaited = awaited
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        seconds = HEAD_SECONDS if awaited is h11.IDLE else BODY_SECONDS if awaited is h11.SEND_BODY else None
        if seconds is not None:
            self._reading = self.loop.call_later(seconds, self.transport.abort)

    def _close_idle_connection(self) -> bool:
        others = (cast("BoundedProtocol", one) for one in self.connections if one is not self)
        idle = [one for one in others if one.is_idle]
        if not idle:
            return False
        min(idle, key=lambda one: one._opened).transport.abort()  # noqa: SLF001 same class
        return True

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: any client could fill the log."""
