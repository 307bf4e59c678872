"""The syncer as a long-running service in its own processes, and the calls that steer it."""

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
_POLL_SECONDS = 0.1


class Service:
    """
    ``mirror-syncer serve`` with two workers, one of them in its own process.

    Args:
        directory: for its log and the observations.
        recheck_seconds: replaces the re-check's week.
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
        """The syncer's process."""
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the worker processes."""
        return list(_children(self.parent))

    async def start(self) -> None:
        """Start the syncer, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mirror_syncer", "serve", env=self._environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(_START_SECONDS):
            while await self.get("/healthz") is None:
                if self._process.returncode is not None:
                    raise RuntimeError(f"the syncer ended with {self._process.returncode}; see {self.log}")
                await asyncio.sleep(_POLL_SECONDS)

    async def stop(self) -> int:
        """Stop the syncer as Docker does; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            return await self._process.wait()

    async def kill(self) -> None:
        """Kill the syncer, which also ends its workers."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def kill_workers(self) -> None:
        """Kill only the workers."""
        for worker in self.workers():
            os.kill(worker, signal.SIGKILL)

    async def ask(self, kind: str, **options: Any) -> dict[str, Any]:
        """
        Request a run, and return it once it has ended, even across a restart of the syncer.

        Raises:
            TimeoutError: the run takes too long.
        """
        async with asyncio.timeout(_RUN_SECONDS):
            while (asked := await self._call("POST", "/runs", {"kind": kind, **options})) is None:  # noqa: ASYNC110 - away
                await asyncio.sleep(_POLL_SECONDS)
            run: dict[str, Any] | None = asked
            while run is None or run["finished_at"] is None:
                await asyncio.sleep(_POLL_SECONDS)
                run = await self.get(f"/runs/{asked['id']}")
            return run

    async def names(self, *states: str) -> AsyncIterator[str]:
        """Yield the projects in these states."""
        query = "&".join(["limit=200", *(f"state={state}" for state in states)])
        following: str | None = query
        while following is not None:
            page = await self.get(f"/projects?{following}")
            for project in page["items"]:
                yield project["name"]
            following = page["next"] and f"{query}&after={page['next']}"

    async def get(self, path: str) -> Any:
        """Return an answer of the private API; None if the syncer is down."""
        return await self._call("GET", path)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        # A kept connection is a task of the syncer, and would be counted.
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
