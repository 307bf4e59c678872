"""A worker process as its parent sees it: started on demand, given jobs, and restarted if it dies."""

import asyncio
import contextlib
import socket
import sys

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.errors import WorkerLostError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending
from mirror_syncer.work.setup import CatalogProxy, Observations, WorkerSetup
from mirror_syncer.work.wire import Abandon, Begin, CatalogAnswer, CatalogQuery, Do, Done, Message, Ready, Wire
from mirror_syncer.work.worker import Job, Result

log = structlog.get_logger()

_EXIT_SECONDS = 5.0
LOST = "the worker process died; check the kernel log for an out-of-memory kill"


class WorkerProcess:
    """
    A worker in a process of its own, which is restarted if it dies.

    Its active jobs then fail with ``WorkerLostError``; the next run processes their projects again.
    """

    def __init__(self, setup: WorkerSetup, *, catalog_proxy: CatalogProxy, observations: Observations) -> None:
        self._setup = setup
        self._catalog_proxy = catalog_proxy
        self._observations = observations
        self._wire: Wire | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._jobs: dict[int, asyncio.Future[Result]] = {}
        self._query_tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._ready: asyncio.Future[None] | None = None
        self._last_number = 0

    @property
    def runs(self) -> bool:
        """Whether the process is running."""
        return self._wire is not None

    async def perform(self, job: Job) -> Result:
        """See ``Worker.perform``; cancelled, it returns when the process has stopped the job, or was killed."""
        wire = self._wire or await self.start()
        self._last_number += 1
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        number = self._last_number
        self._jobs[number] = done
        wire.send(Do(number, job))
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            wire.send(Abandon(number))
            await asyncio.wait([done], timeout=_EXIT_SECONDS)
            if not done.done() and self._wire is wire and self._process is not None:
                # It hangs, or is suspended, and could later write to files of the project's next job.
                log.warning("killing a worker that does not stop a cancelled job", projects=len(self._jobs))
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await asyncio.wait([done], timeout=_EXIT_SECONDS)
            if done.done():
                done.exception()  # retrieved, so that asyncio does not log it
            raise
        finally:
            self._jobs.pop(number, None)
        return done.result()

    async def start(self) -> Wire:
        """
        Start the process unless it is running; return when it is ready.

        Raises:
            WorkerLostError: it died before it was ready.
        """
        async with self._starting:
            if self._wire is None:
                self._ready = asyncio.get_running_loop().create_future()
                ours, theirs = socket.socketpair()
                with contextlib.ExitStack() as on_failure, theirs:
                    on_failure.enter_context(ours)
                    self._process = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "mirror_syncer.work", str(theirs.fileno()), pass_fds=[theirs.fileno()]
                    )
                    on_failure.pop_all()
                wire = await Wire.over(ours, receive=self._receive, lost=self._lost)
                wire.send(Begin(self._setup))
                await self._ready
                if wire.closed:  # it was ready, and died since
                    raise WorkerLostError(LOST)
                self._wire = wire
            return self._wire

    async def stop(self) -> None:
        """Close the wire, so that the process abandons its jobs and exits; kill it if it takes too long."""
        if self._process is None:
            return
        if self._wire is None or not self._jobs:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        else:
            self._wire.close()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _receive(self, message: Message) -> None:
        match message:
            case Ready():
                if self._ready is not None:
                    self._ready.set_result(None)
            case Done():
                for observed in message.requests:
                    self._observations.observe_request(*observed)
                for reason in message.retries:
                    self._observations.count_retry(reason)
                done = self._jobs.get(message.number)
                if done is None or done.done():
                    return  # the caller was cancelled
                if isinstance(message.result, Exception):
                    done.set_exception(message.result)
                else:
                    done.set_result(message.result)
            case CatalogQuery():
                task = asyncio.create_task(self._answer(message, self._wire))
                self._query_tasks.add(task)
                task.add_done_callback(self._query_tasks.discard)

    async def _answer(self, query: CatalogQuery, wire: Wire | None) -> None:
        """Answer on the wire that the query came from: a restarted process numbers its queries from one again."""
        try:
            answer = CatalogAnswer(query.number, await self._query(query.query))
        except Exception as error:  # noqa: BLE001 - the worker decides
            answer = CatalogAnswer(query.number, error)
        if wire is not None:
            wire.send(answer)

    async def _query(self, query: tuple[Pending, ...] | NormalizedName) -> set[PackagePath] | KeptPage | None:
        if isinstance(query, tuple):
            return await self._catalog_proxy.intend(query)
        return await self._catalog_proxy.kept(query)

    def _lost(self) -> None:
        self._wire = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(WorkerLostError(LOST))
        if self._jobs:
            log.error("worker lost", projects=len(self._jobs))
        for done in self._jobs.values():
            if not done.done():
                done.set_exception(WorkerLostError(LOST))
