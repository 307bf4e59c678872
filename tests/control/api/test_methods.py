"""HTTP methods: HEAD is GET without content, and a 405 lists the allowed methods."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message

from mirror_control.server.head import HeadAsGet


def test_405_lists_all_methods(holder: httpx2.Client) -> None:
    """The Allow header of a 405 lists the methods of all routes of the path (RFC 9110, 15.5.6)."""
    assert holder.delete("/api/v1/runs").headers["allow"] == "GET, HEAD, POST"
    assert holder.post("/api/v1/status").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["status", "runs", "projects/six", "projects/nowhere", "healthz", "runs?limit=0"])
def test_head_is_get_without_content(client: httpx2.Client, path: str) -> None:
    """HEAD answers with the headers of GET and without content (RFC 9110, 9.3.2)."""
    get, head = client.get(f"/api/v1/{path}"), client.head(f"/api/v1/{path}")
    get.headers.pop("date"), head.headers.pop("date")

    assert (head.status_code, head.headers, head.content) == (get.status_code, get.headers, b"")
    assert client.get("/api/v1/healthz").status_code == 200, "and the connection is still good"


async def test_head_of_a_stream_ends() -> None:
    """HEAD of an endless stream returns its headers and ends."""
    left = asyncio.Event()
    sent: list[Message] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
                await asyncio.sleep(0)
        finally:
            left.set()

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(60):
        scope = {"type": "http", "method": "HEAD", "asgi": {"spec_version": "2.3"}}
        await HeadAsGet(StreamingResponse(endless()))(scope, never, send)
        await left.wait()

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
