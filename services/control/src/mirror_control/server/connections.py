"""How long a client may take, and how many there may be: control's own port has no nginx before it."""

import asyncio
from typing import Any, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS: Final = 1_500
"""Above the thousand that may watch runs; each holds some 30 kB of 256 MB."""
# As nginx; a request's head is one packet.
HEAD_SECONDS: Final = 10.0
# All of it, since the head: 1 MiB at 280 kbit/s.
BODY_SECONDS: Final = 30.0
# Without taking anything of what is sent; also as nginx.
UNREAD_SECONDS: Final = 60.0


class BoundedProtocol(H11Protocol):
    """
    One connection, which is closed when its client takes too long.

    Uvicorn bounds the pause between two requests alone, and that only until the next byte. Where there are too many
    connections, the one that has waited longest for a request to come goes first.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 uvicorn's own
        super().__init__(*arguments, **options)
        self._opened = self.loop.time()
        self._awaited: object = None
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it where there are too many that are all of use."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS and not self._make_room():
            transport.abort()
            return
        self._await_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all deadlines."""
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and see what is to come."""
        super().data_received(data)
        self._await_client()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._await_client()

    def pause_writing(self) -> None:
        """Wait for a client that does not read."""
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, and the connection is not being closed."""
        return self.conn.their_state is h11.IDLE and not self.transport.is_closing()

    def _await_client(self) -> None:
        """Set a deadline for the head or the body, whichever is to come: not with each byte, but once."""
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

    def _make_room(self) -> bool:
        others = (cast("BoundedProtocol", one) for one in self.connections if one is not self)
        idle = [one for one in others if one.is_idle]
        if not idle:
            return False
        min(idle, key=lambda one: one._opened).transport.abort()  # noqa: SLF001 of the same class
        return True

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: anybody could fill the log with it."""
