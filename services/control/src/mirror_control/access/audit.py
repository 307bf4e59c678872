"""The audit log: a line for each changing call, with time, address, call, token, run, release or line, and outcome."""

import time
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirror_control.access.audit_trail import AuditEntry, AuditTrail
from mirror_control.access.rights import Right

LOGGER_NAME: Final = "mirror_control.access.audit"
"""This logger writes at any MIRROR_LOG_LEVEL."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# OSV's format sends queries by POST.
READING_CALLS: Final = frozenset({("POST", "/osv/v1/query"), ("POST", "/osv/v1/querybatch")})
_MIN_INTERVAL_SECONDS: Final = 1.0
_MAX_FIELD_LENGTH: Final = 200
_MAX_LINE_LENGTH: Final = 1_000  # of a line and its reason, which have up to 2,500 characters

log = structlog.get_logger(LOGGER_NAME)


def describe_call(scope: Scope, *, call: str | None = None) -> dict[str, Any]:
    """
    Return the origin and the target of a call, for the log; ``call`` is that of the API which a form stands for.

    ``address`` is the peer's address, which a client cannot forge; for calls through nginx it is nginx's. In that case
    nginx sets ``forwarded_for`` to the client's address. A client that calls control's port directly can forge it.
    """
    client = scope.get("client")
    forwarded = Headers(scope=scope).get("x-forwarded-for")
    return {
        "address": client[0] if client else None,
        "forwarded_for": forwarded and forwarded[:_MAX_FIELD_LENGTH],
        "call": (call or f"{scope['method']} {scope['path']}")[:_MAX_FIELD_LENGTH],
    }


def is_reading(scope: Scope) -> bool:
    """Return whether a call changes nothing."""
    return scope["method"] in SAFE_METHODS or (scope["method"], scope["path"]) in READING_CALLS


class Audit:
    """Logs each changing call of a token holder once it is answered; RequireToken logs calls without a valid token."""

    def __init__(self, app: ASGIApp, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request and record the status of its answer."""
        if scope["type"] != "http" or is_reading(scope):
            return await self._app(scope, receive, send)
        state: dict[str, Any] = scope.setdefault("state", {})
        status = 500  # if an exception escapes: an outer layer answers it

        async def record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            return await self._app(scope, receive, record_status)
        finally:
            if (holder := state.get("holder")) is not None:
                described = describe_call(scope, call=state.get("call"))
                right, run, release = state.get("right"), state.get("run"), state.get("release")
                line = _shorten(state.get("line"))
                log.info(
                    "audit",
                    **described,
                    token=holder.name,
                    right=right,
                    run=run,
                    release=release,
                    line=line,
                    status=status,
                )
                if right not in (None, Right.READ):  # no such call, or a form that only reads
                    about = _shorten(str(release or line or run or "")) or ""
                    self._trail.add(
                        AuditEntry(
                            datetime.now(UTC), holder.name, str(right), described["call"], about, run or "", status
                        )
                    )


def _shorten(line: str | None) -> str | None:
    """Return the beginning of a long line."""
    return line if line is None or len(line) <= _MAX_LINE_LENGTH else f"{line[:_MAX_LINE_LENGTH]}…"


class LogRateLimit:
    """A rate limit of one line a second, for log lines that any client can cause."""

    def __init__(self) -> None:
        self._admit_at = 0.0
        self._suppressed = 0

    def admit(self) -> int | None:
        """Return how many lines were suppressed since the last admitted one, or None if this one is suppressed, too."""
        now = time.monotonic()
        if now < self._admit_at:
            self._suppressed += 1
            return None
        self._admit_at = now + _MIN_INTERVAL_SECONDS
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
