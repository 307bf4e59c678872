"""
Who looks at projects: threads of this process, or where there is much to look at, processes of their own.

Threads are enough for files of a megabyte, which hashlib reads without holding the interpreter. Of small ones two
threads do hardly more than one, and two processes twice as much.
"""

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from packaging.utils import NormalizedName

from mirror_syncer.errors import MirrorError
from mirror_syncer.throttle import Throttle
from mirror_syncer.verification import Inspection, Verdict
from mirror_syncer.volume import View

_processes = multiprocessing.get_context("spawn")  # a fork would take the service's threads and sockets along

Request = tuple[str, NormalizedName, float]
"""A run's id, a project, and for how many seconds to look at it; none: forget it."""


class ClerkGone(MirrorError):
    """A process that looks at projects has died, and with it what it was looking at."""


class Desk:
    """Inspections under way, each of a project on behalf of a run. It blocks for the disk."""

    def __init__(self, view: View, *, throttle: Throttle) -> None:
        self._view = view
        self._throttle = throttle
        self._inspections: dict[tuple[str, NormalizedName], Inspection] = {}

    def look(self, request: Request) -> Verdict | None:
        """
        Begin, or go on with, a look; return what it told, or None where there is more to look at.

        Raises:
            VolumeError: the disk says no; the look is forgotten.
        """
        run_id, name, seconds = request
        # Out of the table meanwhile: whatever happens to it, nothing is left behind.
        inspection = self._inspections.pop((run_id, name), None)
        if seconds <= 0:
            return None
        inspection = inspection or Inspection(self._view, name, throttle=self._throttle)
        if inspection.go_on(seconds=seconds):
            return inspection.verdict
        self._inspections[run_id, name] = inspection
        return None


class Clerk(Protocol):
    """Somebody at a desk."""

    load: int
    """How many requests it has."""

    async def look(self, request: Request) -> Verdict | None:
        """Do as ``Desk.look`` does."""

    def close(self) -> None:
        """Begin nothing more."""


class HouseClerk:
    """A desk in this process, at which as many threads work as the pool has."""

    def __init__(self, view: View, *, throttle: Throttle, pool: Executor) -> None:
        self._desk = Desk(view, throttle=throttle)
        self._pool = pool
        self.load = 0

    async def look(self, request: Request) -> Verdict | None:
        """Do as ``Desk.look`` does."""
        return await _aside(self._pool, self, lambda: self._desk.look(request))

    def close(self) -> None:
        """Leave the pool to whoever owns it."""


class ProcessClerk:
    """
    A desk in a process of its own, which one thread here speaks with. It ends with this process, however that ends.

    Raises:
        ClerkGone: by ``look``.
    """

    def __init__(self, view: View, *, throttle: Throttle) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="clerk")
        self.load = 0
        self._connection, theirs = _processes.Pipe()
        self._process = _processes.Process(target=_serve, args=(theirs, view.root, throttle), daemon=True)
        self._process.start()
        theirs.close()

    async def look(self, request: Request) -> Verdict | None:
        """Do as ``Desk.look`` does."""
        return await _aside(self._pool, self, lambda: self._ask(request))

    def close(self) -> None:
        """Let the process end; a slice under way is lost."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._process.terminate()

    def _ask(self, request: Request) -> Verdict | None:
        try:
            self._connection.send(request)
            answer = self._connection.recv()
        except (OSError, EOFError) as error:
            raise ClerkGone("the process that hashes has died; look at the kernel's log, and verify again") from error
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Verdict) else None


def start_clerks(view: View, *, throttle: Throttle, count: int) -> list[Clerk]:
    """Start so many processes; each takes half a second of processor time, and 60 MB."""
    return [ProcessClerk(view, throttle=throttle) for _ in range(count)]


def close_clerks(clerks: Iterable[Clerk]) -> None:
    """Close all of them."""
    for clerk in clerks:
        clerk.close()


async def _aside(pool: Executor, clerk: Clerk, call: Callable[[], Verdict | None]) -> Verdict | None:
    clerk.load += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
    finally:
        clerk.load -= 1


def _serve(connection: Connection, root: Path, throttle: Throttle) -> None:
    """Work at a desk until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the service says when it is over
    desk = Desk(View(root), throttle=throttle)
    with contextlib.suppress(EOFError, OSError):
        while True:
            request = connection.recv()
            try:
                answer: object = desk.look(request)
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
                answer = error
            connection.send(answer)
