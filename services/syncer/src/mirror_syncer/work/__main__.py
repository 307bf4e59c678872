"""A worker process: ``python -m mirror_syncer.work <descriptor of its end of the socket pair>``."""

import asyncio
import ctypes
import pickle
import signal
import socket
import sys
from collections.abc import Sequence

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.errors import AbandonedError, MirrorError
from mirror_syncer.logs import configure_logging
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending
from mirror_syncer.volume import Tree
from mirror_syncer.work.wire import Abandon, Begin, CatalogAnswer, CatalogQuery, Do, Done, Message, Ready, Wire
from mirror_syncer.work.worker import Job, Worker, open_worker

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1  # prctl(2)


class Process:
    """The worker process's side of the wire: performs jobs, and passes its worker's queries to the parent."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._begin: asyncio.Future[Begin | None] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()
        self._worker: Worker | None = None
        self._tree: Tree | None = None
        self._jobs: dict[int, asyncio.Task[None]] = {}
        self._answers: dict[int, asyncio.Future[set[PackagePath] | KeptPage | None]] = {}
        self._last_query = 0
        self._requests: list[tuple[str, str, float]] = []
        self._retries: list[str] = []

    async def run(self, end: socket.socket) -> None:
        """Perform jobs until the parent closes the wire; then abandon the active ones."""
        self._wire = await Wire.over(end, receive=self._receive, lost=self._lost)
        if (begin := await self._begin) is None:
            return  # the parent was killed while this process started, before PR_SET_PDEATHSIG was set
        setup = begin.setup
        configure_logging(level=setup.log_level, form=setup.log_format)
        self._tree = Tree(setup.root, reserve=setup.reserve)
        async with open_worker(setup, tree=self._tree, catalog_proxy=self, observations=self) as self._worker:
            self._send(Ready())
            await self._closed.wait()
            for job in self._jobs.values():
                job.cancel()
            await asyncio.gather(*self._jobs.values(), return_exceptions=True)

    # CatalogProxy and Observations

    async def intend(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """Have the parent record intents."""
        found = await self._query(tuple(intents))
        return found if isinstance(found, set) else set()

    async def kept(self, name: NormalizedName) -> KeptPage | None:
        """Have the parent read the kept page."""
        found = await self._query(name)
        return found if isinstance(found, KeptPage) else None

    def observe_request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Keep it for the next result."""
        self._requests.append((endpoint, outcome, seconds))

    def count_retry(self, reason: str) -> None:
        """Keep it for the next result."""
        self._retries.append(reason)

    async def _query(self, query: tuple[Pending, ...] | NormalizedName) -> set[PackagePath] | KeptPage | None:
        self._last_query += 1
        answer = self._answers[self._last_query] = asyncio.get_running_loop().create_future()
        self._send(CatalogQuery(self._last_query, query))
        found: set[PackagePath] | KeptPage | None = await answer
        return found

    def _lost(self) -> None:
        self._closed.set()
        if not self._begin.done():
            self._begin.set_result(None)

    def _receive(self, message: Message) -> None:
        match message:
            case Begin():
                self._begin.set_result(message)
            case Do():
                number = message.number
                task = self._jobs[number] = asyncio.create_task(self._perform(number, message.job))
                task.add_done_callback(lambda ended: self._end(number, ended))
            case Abandon():
                if (job := self._jobs.get(message.number)) is not None:
                    job.cancel()
            case CatalogAnswer():
                answer = self._answers.pop(message.number)
                if answer.done():
                    return  # the caller was cancelled
                if isinstance(message.result, Exception):
                    answer.set_exception(message.result)
                else:
                    answer.set_result(message.result)

    async def _perform(self, number: int, job: Job) -> None:
        if self._worker is None:
            raise RuntimeError("a job came before its worker was ready")
        try:
            result = await self._worker.perform(job)
            if self._tree is not None and not self._tree.durability.by_group:
                # The parent's sync covers only directories that the parent wrote to.
                await asyncio.to_thread(self._tree.durability.sync)
        except Exception as error:  # noqa: BLE001 - the parent decides
            self._send(Done(number, _portable(error), *self._observed()))
        else:
            self._send(Done(number, result, *self._observed()))

    def _end(self, number: int, ended: asyncio.Task[None]) -> None:
        """Remove a job that has ended; answer one that was cancelled, perhaps before its first step."""
        del self._jobs[number]
        if ended.cancelled():
            self._send(Done(number, AbandonedError("its run was cancelled"), *self._observed()))

    def _observed(self) -> tuple[list[tuple[str, str, float]], list[str]]:
        observed = self._requests, self._retries
        self._requests, self._retries = [], []
        return observed

    def _send(self, message: Message) -> None:
        if self._wire is not None:
            self._wire.send(message)


def _portable(error: Exception) -> Exception:
    """Return an error that can be pickled; the parent would wait forever for one that cannot."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - a constructor may need any arguments
        return MirrorError(f"{type(error).__name__}: {error}")
    return error


async def _main(descriptor: int) -> None:
    await Process().run(socket.socket(fileno=descriptor))


if __name__ == "__main__":
    # When the parent is killed its workers die too, so that the next parent can use the tree at once.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a terminal's ^C reaches all processes; the parent says when to stop
    asyncio.run(_main(int(sys.argv[1])))
