"""How much a request may send."""

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirror_control.problems import problem_response

# Ten thousand names of ordinary length are 250 kB.
LONGEST = 1 << 20

_TOLD = f"A body may have {LONGEST:,} bytes; name fewer projects a run."


class BodyLimit:
    """
    Answers 413 to a body that is too long, whether it says so beforehand or not.

    FastAPI's own limit would do, did it not answer in plain text.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > LONGEST:
            # The rest is never read, so the connection can't be used again.
            headers = {"Connection": "close"}
            return await problem_response(413, _TOLD, headers=headers)(scope, receive, send)
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LONGEST:
                raise HTTPException(413, _TOLD)
            return message

        return await self._app(scope, receive_some, send)
