"""The server, as a test starts it."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext

from aiohttp import web

from fakepypi.faults import Faults
from fakepypi.index import Index
from fakepypi.log import RequestLog
from fakepypi.warehouse import Warehouse


@dataclass(frozen=True, kw_only=True)
class FakePyPI:
    """A running server, with its index, faults and request log."""

    url: str
    index: Index
    faults: Faults
    log: RequestLog


def create_app(
    index: Index, faults: Faults, *, log: RequestLog | None = None, file_origin: str | None = None
) -> web.Application:
    """Return the application; pages name files on the request's own origin unless another is given."""
    log = RequestLog() if log is None else log  # an empty one is false
    return Warehouse(index=index, faults=faults, log=log, file_origin=file_origin).application()


@asynccontextmanager
async def serve(
    index: Index | None = None, *, files_elsewhere: bool = False, tls: SSLContext | None = None
) -> AsyncIterator[FakePyPI]:
    """
    Serve an index on a free port of 127.0.0.1.

    With ``files_elsewhere`` pages name files on another host, 127.0.0.2, as PyPI's do; with ``tls`` all is https.
    """
    hosts = ["127.0.0.1", "127.0.0.2"] if files_elsewhere else ["127.0.0.1"]
    sockets = [socket.create_server((host, 0)) for host in hosts]
    scheme = "http" if tls is None else "https"
    origins = ["{}://{}:{}".format(scheme, *listening.getsockname()) for listening in sockets]
    pypi = FakePyPI(url=origins[0], index=index or Index(), faults=Faults(), log=RequestLog())
    app = create_app(pypi.index, pypi.faults, log=pypi.log, file_origin=origins[1] if files_elsewhere else None)
    # Cancel the request of a client that disconnects: nobody waits for a slow answer that nobody reads.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        for listening in sockets:
            await web.SockSite(runner, listening, ssl_context=tls).start()
        yield pypi
    finally:
        await runner.cleanup()
