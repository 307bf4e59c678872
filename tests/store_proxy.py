"""An HTTP proxy before an object store, which fails on demand and lists what is written."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, TCPConnector, web
from yarl import URL

_WRITES = frozenset({"PUT", "POST", "DELETE"})
_ANSWER = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>on demand</Message></Error>'


def _nothing() -> None:
    pass


@dataclass
class StoreProxy:
    """
    What the proxy does to requests; its functions are called in a thread of its own.

    Attributes:
        url: its own URL.
        writes: the writes so far, as "METHOD path".
        before_write: called before each write is passed on.
        refuse: answers with this status and code of S3 instead, if it returns them.
        loses_answer: returns whether a request is passed on, and its connection then cut.
        hangs: no request is answered.
    """

    url: str = ""
    writes: list[str] = field(default_factory=list)
    before_write: Callable[[], None] = _nothing
    refuse: Callable[[web.BaseRequest], tuple[int, str] | None] = lambda _: None
    loses_answer: Callable[[web.BaseRequest], bool] = lambda _: False
    hangs: bool = False


@contextmanager
def before(endpoint: str) -> Iterator[StoreProxy]:
    """Run a proxy before a store; it keeps the header Host, which is signed."""
    proxy = StoreProxy()
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with ClientSession(auto_decompress=False, connector=TCPConnector(limit=100)) as session:
            runner = web.ServerRunner(web.Server(lambda request: _handle(request, session, proxy, endpoint)))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            await stopping.wait()
            proxy.hangs = False
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield proxy
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()


async def _handle(
    request: web.BaseRequest, session: ClientSession, proxy: StoreProxy, endpoint: str
) -> web.StreamResponse:
    body = await request.read()
    while proxy.hangs:  # noqa: ASYNC110 - another thread sets it
        await asyncio.sleep(0.05)
    if request.method in _WRITES:
        proxy.before_write()
        proxy.writes.append(f"{request.method} {request.path}")
    if (refused := proxy.refuse(request)) is not None:
        status, code = refused
        return web.Response(status=status, text=_ANSWER.format(code=code), content_type="application/xml")
    url = URL(f"{endpoint}{request.raw_path}", encoded=True)
    async with session.request(request.method, url, headers=request.headers, data=body) as answer:
        found = await answer.read()
        if proxy.loses_answer(request) and request.transport is not None:
            request.transport.abort()
        hop = ("transfer-encoding", "content-encoding", "connection")
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in hop}
        return web.Response(status=answer.status, body=found, headers=headers)
