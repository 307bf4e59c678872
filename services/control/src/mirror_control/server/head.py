"""HEAD for every GET (RFC 9110, 9.1), which FastAPI's routes lack."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """
    Middleware that answers HEAD like GET; the server omits the content.

    A stream ends after its headers, as if the client had disconnected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request; turn HEAD into GET and forward only the headers of its answer."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        headers_sent = asyncio.Event()

        async def disconnect_after_headers() -> Message:
            await headers_sent.wait()
            return {"type": "http.disconnect"}

        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                headers_sent.set()

        await self._app({**scope, "method": "GET"}, disconnect_after_headers, send_headers)
        await send({"type": "http.response.body"})
