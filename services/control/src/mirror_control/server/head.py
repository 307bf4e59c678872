"""HEAD wherever there is a GET (RFC 9110, 9.1), which FastAPI's routes lack."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """
    Answers HEAD with what GET would say, without its content: the server leaves that out.

    A stream is over once its headers are sent, as if the client had gone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; HEAD as GET, and what comes back as far as its headers."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        begun = asyncio.Event()

        async def leave() -> Message:
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                begun.set()

        await self._app({**scope, "method": "GET"}, leave, send_headers)
        await send({"type": "http.response.body"})
