"""A line of the log for each changing call: when, from where, what, by whose token, and what came of it."""

import time
from typing import Any, Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGGER: Final = "mirror_control.access.audit"
"""Its lines are written whatever MIRROR_LOG_LEVEL is."""
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_EVERY_SECONDS: Final = 1.0
_MAX_CHARACTERS: Final = 200

log = structlog.get_logger(LOGGER)


def whereabouts(scope: Scope) -> dict[str, Any]:
    """
    Return from where a call came, and what was called.

    ``address`` is who is connected, which nobody can choose: nginx's for calls through it. Then ``forwarded_for`` is
    the client's, which nginx set; who calls control's own port may write anything there.
    """
    client = scope.get("client")
    forwarded = Headers(scope=scope).get("x-forwarded-for")
    return {
        "address": client[0] if client else None,
        "forwarded_for": forwarded and forwarded[:_MAX_CHARACTERS],
        "call": f"{scope['method']} {scope['path']}"[:_MAX_CHARACTERS],
    }


class Audit:
    """Writes the line once a changing call of a token's holder was answered; of strangers RequireToken tells."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see how it is answered."""
        if scope["type"] != "http" or scope["method"] in READING:
            return await self._app(scope, receive, send)
        state: dict[str, Any] = scope.setdefault("state", {})
        status = 500  # of a defect, which is answered further out

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            return await self._app(scope, receive, send_on)
        finally:
            if (holder := state.get("holder")) is not None:
                log.info(
                    "audit",
                    **whereabouts(scope),
                    token=holder.name,
                    right=state.get("right"),
                    run=state.get("run"),
                    status=status,
                )


class Sparing:
    """Says when a line that strangers can cause is due: once a second."""

    def __init__(self) -> None:
        self._next = 0.0
        self._unlogged = 0

    def unlogged(self) -> int | None:
        """Return how many lines were left out since the last, or None where this one is to be left out, too."""
        now = time.monotonic()
        if now < self._next:
            self._unlogged += 1
            return None
        self._next = now + _EVERY_SECONDS
        unlogged, self._unlogged = self._unlogged, 0
        return unlogged
