"""The syncer as it runs all day, in processes of its own, and what is told it from outside."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from socket import socket
from typing import Any

import aiohttp

from syncer.site import Site

_OBSERVED = Path(__file__).with_name("observed")
_START_SECONDS = 60
_STOP_SECONDS = 120
_RUN_SECONDS = 600
_LOOK_SECONDS = 0.1


class Service:
    """
    ``mirror-syncer serve`` with two workers, one of them in a process of its own.

    Args:
        directory: for its log, and for what is observed of it.
        recheck_seconds: how long the week of the re-check is.
    """

    def __init__(self, site: Site, directory: Path, *, recheck_seconds: int) -> None:
        self.log = directory / "syncer.log"
        self.tasks = directory / "tasks"
        self.tasks.mkdir(exist_ok=True)
        self._process: asyncio.subprocess.Process | None = None
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            listen = f"127.0.0.1:{free.getsockname()[1]}"
        self._url = f"http://{listen}"
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_OBSERVED),
            "SOAK_TASKS": str(self.tasks),
            "SOAK_RECHECK_SECONDS": str(recheck_seconds),
            **site.environment(
                MIRROR_LISTEN=listen, MIRROR_WORKERS="2", MIRROR_SCHEDULE="*/5 * * * *", MIRROR_LOG_FORMAT="json"
            ),
        }

    @property
    def parent(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """Return its workers' processes."""
        return list(_children(self.parent))

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mirror_syncer", "serve", env=self._environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(_START_SECONDS):
            while await self.get("/healthz") is None:
                if self._process.returncode is not None:
                    raise RuntimeError(f"the syncer ended with {self._process.returncode}; see {self.log}")
                await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> int:
        """Stop it as Docker does; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            return await self._process.wait()

    async def kill(self) -> None:
        """Kill it, which takes its workers along."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def kill_workers(self) -> None:
        """Kill its workers alone."""
        for worker in self.workers():
            os.kill(worker, signal.SIGKILL)

    async def ask(self, kind: str, **options: Any) -> dict[str, Any]:
        """
        Have a run done, and return it when it has ended: a restart of the syncer does not end it.

        Raises:
            TimeoutError: it takes too long.
        """
        async with asyncio.timeout(_RUN_SECONDS):
            while (asked := await self._call("POST", "/runs", {"kind": kind, **options})) is None:  # noqa: ASYNC110 - away
                await asyncio.sleep(_LOOK_SECONDS)
            run: dict[str, Any] | None = asked
            while run is None or run["finished_at"] is None:
                await asyncio.sleep(_LOOK_SECONDS)
                run = await self.get(f"/runs/{asked['id']}")
            return run

    async def names(self, *states: str) -> AsyncIterator[str]:
        """Go through the projects of these states."""
        query = "&".join(["limit=200", *(f"state={state}" for state in states)])
        following: str | None = query
        while following is not None:
            page = await self.get(f"/projects?{following}")
            for project in page["items"]:
                yield project["name"]
            following = page["next"] and f"{query}&after={page['next']}"

    async def get(self, path: str) -> Any:
        """Return an answer of the private API; None where the syncer is away."""
        return await self._call("GET", path)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        # A connection that is kept is a task of the syncer's, and so would be counted.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            try:
                async with session.request(method, self._url + path, json=body) as answer:
                    answer.raise_for_status()
                    return await answer.json() if answer.content_type == "application/json" else await answer.text()
            except (aiohttp.ClientConnectionError, TimeoutError):
                return None


def _children(process: int) -> Iterator[int]:
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        yield from map(int, children.read_text().split())
