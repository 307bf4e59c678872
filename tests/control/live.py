"""Servers that run in a background thread, so that tests can be plain functions."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

from mirror_control.server.application import create_app
from mirror_control.server.process import Server, uvicorn_config
from mirror_control.settings import Settings

Result = TypeVar("Result")


class Background:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="servers")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do it there; wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    def close(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class _Server(Server):
    """Control's server, that tells when it listens."""

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(app, config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # it would end the loop's thread, and with it all that waits
            raise RuntimeError("control does not start; the traceback is in the log") from None
        self.listening.set()


@contextmanager
def control(settings: Settings, *, background: Background) -> Iterator[str]:
    """Serve control on the loopback; yield its address."""
    # Named, the protocol gets asyncio's TCP_NODELAY; otherwise each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = create_app(settings)
    server = _Server(app, uvicorn_config(app))

    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        waiting = asyncio.create_task(server.listening.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task

    async def stop(task: asyncio.Task[None]) -> None:
        server.should_exit = True
        await task

    task = background.run(start())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        background.run(stop(task))
