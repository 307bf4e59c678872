"""The limit on the size of request bodies."""

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirror_control.problems import problem_response

# 10,000 project names of ordinary length are 250 kB.
MAX_BODY_BYTES = 1 << 20

_TOO_LONG = f"The body is longer than {MAX_BODY_BYTES:,} bytes; name fewer projects per run."


class BodyLimit:
    """
    Middleware that answers 413 to a body that is too long, with or without a Content-Length.

    FastAPI's own limit answers in plain text instead of with a problem.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or answer 413."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
            # The body is not read, so the connection can't be reused.
            headers = {"Connection": "close"}
            return await problem_response(413, _TOO_LONG, headers=headers)(scope, receive, send)
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LONG)
            return message

        return await self._app(scope, receive_limited, send)
