"""A raw TCP server, for answers that no HTTP library would send."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Wire:
    """
    Serves one request per connection.

    Attributes:
        url: its address.
        answers: by path; any other path is a 404.
        heads: the request heads, in order.
    """

    def __init__(self, server: asyncio.Server) -> None:
        self.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        self.answers: dict[str, Answer] = {}
        self.heads: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request; a client that disconnects ends it."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            await self.answers.get(head.split()[1], send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))(
                writer
            )
            await writer.drain()
        writer.close()


@asynccontextmanager
async def wire() -> AsyncIterator[Wire]:
    """Serve on a free port of 127.0.0.1; at the end, wait for open answers."""
    answering: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(task := asyncio.create_task(upstream.answer(reader, writer)))
        task.add_done_callback(answering.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    upstream = Wire(server)
    try:
        yield upstream
    finally:
        server.close()
        async with asyncio.timeout(60):
            await asyncio.gather(*answering)


def send(answer: bytes) -> Answer:
    """Send these bytes."""

    async def sending(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return sending


def drip(beginning: bytes, drop: bytes, *, every: float = 0.05) -> Answer:
    """Send a beginning, then a drop at a time until the client disconnects."""

    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(every)

    return dripping


def page(name: str, *files: dict[str, object]) -> Answer:
    """Send a project's page (PEP 691)."""
    body = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files, "versions": []}).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return send(head.encode() + body)
