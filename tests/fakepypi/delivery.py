"""How an answer is sent: complete or broken."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from fakepypi.answer import Answer

Delivery = Callable[[web.Request, Answer], Awaitable[web.StreamResponse]]

# SO_LINGER on with no time: closing sends RST, not FIN.
_RESET = struct.pack("ii", 1, 0)


async def whole(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send the whole body."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def cut(at: float) -> Delivery:
    """Promise the whole length, send a part, and close."""
    return _broken(at, reset=False)


def reset(at: float) -> Delivery:
    """Promise the whole length, send a part, and reset the connection."""
    return _broken(at, reset=True)


def _broken(at: float, *, reset: bool) -> Delivery:
    async def deliver(request: web.Request, answer: Answer) -> web.StreamResponse:
        response = await _begin(request, answer, length=len(answer.body))
        transport = request.transport
        if transport is None:
            return response
        transport.set_write_buffer_limits(0)  # so that write() returns when the kernel has all bytes
        await response.write(answer.body[: int(len(answer.body) * at)])
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        else:
            transport.close()
        return response

    return deliver


def wrong_length(more: int) -> Delivery:
    """Promise this many bytes more than are sent, and close; below 0, send bytes beyond the promise."""

    async def deliver(request: web.Request, answer: Answer) -> web.StreamResponse:
        promised = len(answer.body) + more
        response = await _begin(request, answer, length=promised)
        await response.write(answer.body[:promised])
        if (transport := request.transport) is not None:
            transport.write(answer.body[promised:])  # aiohttp itself would not
            transport.close()
        return response

    return deliver


def drip(*, size: int, every: float) -> Delivery:
    """Send this many bytes at a time, with a pause after each."""

    async def deliver(request: web.Request, answer: Answer) -> web.StreamResponse:
        response = await _begin(request, answer, length=len(answer.body))
        with suppress(ConnectionResetError):  # the client has disconnected
            for start in range(0, len(answer.body), size):
                await response.write(answer.body[start : start + size])
                await asyncio.sleep(every)
        return response

    return deliver


def endless(*, limit: int) -> Delivery:
    """Send the body, then zeros until the client disconnects; promise no length, and close after the limit."""

    async def deliver(request: web.Request, answer: Answer) -> web.StreamResponse:
        response = await _begin(request, answer, length=None)
        chunk = bytes(64 * 1024)
        with suppress(ConnectionResetError):  # as above
            await response.write(answer.body)
            for _ in range(0, limit, len(chunk)):
                await response.write(chunk)
        return response

    return deliver


async def _begin(request: web.Request, answer: Answer, *, length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = length
    response.force_close()
    await response.prepare(request)
    return response
