"""The parent's end of a worker process: started, given jobs, answered, and started again where it dies."""

import asyncio
import contextlib
import socket
import sys

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.errors import WorkerLostError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending
from mirror_syncer.work.setup import CatalogProxy, Observations, Setup
from mirror_syncer.work.wire import Abandon, Answer, Ask, Begin, Do, Done, Message, Ready, Wire
from mirror_syncer.work.worker import Job, Result

log = structlog.get_logger()

_GOING_SECONDS = 5.0
LOST = "its worker process ended; look for an end of memory in the kernel's log"


class WorkerProcess:
    """
    A worker in a process of its own, which is started again where it dies.

    What it had in hand then fails with ``WorkerLostError``; the next run looks at it again.
    """

    def __init__(self, setup: Setup, *, catalog_proxy: CatalogProxy, observations: Observations) -> None:
        self._setup = setup
        self._catalog_proxy = catalog_proxy
        self._observations = observations
        self._wire: Wire | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._jobs: dict[int, asyncio.Future[Result]] = {}
        self._errand_tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._ready: asyncio.Future[None] | None = None
        self._given = 0

    @property
    def runs(self) -> bool:
        """Whether it was started, and not lost since."""
        return self._wire is not None

    async def perform(self, job: Job) -> Result:
        """See ``Worker.perform``; cancelled, it returns when the process has let go of the job, or was killed."""
        wire = self._wire or await self.start()
        self._given += 1
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        number = self._given
        self._jobs[number] = done
        wire.send(Do(number, job))
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError:
            wire.send(Abandon(number))
            await asyncio.wait([done], timeout=_GOING_SECONDS)
            if not done.done() and self._wire is wire and self._process is not None:
                # It hangs, or is stopped, and would later write to what the project's next turn has in hand.
                log.warning("a worker does not let go, and is killed", projects=len(self._jobs))
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await asyncio.wait([done], timeout=_GOING_SECONDS)
            if done.done():
                done.exception()  # which is nobody's concern any more
            raise
        finally:
            self._jobs.pop(number, None)
        return done.result()

    async def start(self) -> Wire:
        """
        Start the process, unless it runs; return when it is ready.

        Raises:
            WorkerLostError: it ended before it was.
        """
        async with self._starting:
            if self._wire is None:
                self._ready = asyncio.get_running_loop().create_future()
                ours, theirs = socket.socketpair()
                with contextlib.ExitStack() as unless_it_starts, theirs:
                    unless_it_starts.enter_context(ours)
                    self._process = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "mirror_syncer.work", str(theirs.fileno()), pass_fds=[theirs.fileno()]
                    )
                    unless_it_starts.pop_all()
                wire = await Wire.over(ours, receive=self._receive, lost=self._lost)
                wire.send(Begin(self._setup))
                await self._ready
                if wire.closed:  # it was ready, and is gone by now: what is said would reach nobody
                    raise WorkerLostError(LOST)
                self._wire = wire
            return self._wire

    async def stop(self) -> None:
        """Hang up: what is under way is abandoned."""
        if self._process is None:
            return
        if self._wire is None or not self._jobs:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        else:
            self._wire.close()
        try:
            async with asyncio.timeout(_GOING_SECONDS):
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
                    return  # whoever waited for it was cancelled
                if isinstance(message.result, Exception):
                    done.set_exception(message.result)
                else:
                    done.set_result(message.result)
            case Ask():
                task = asyncio.create_task(self._do_errand(message, self._wire))
                self._errand_tasks.add(task)
                task.add_done_callback(self._errand_tasks.discard)

    async def _do_errand(self, ask: Ask, wire: Wire | None) -> None:
        """Answer whoever asked: the process that was started in its stead counts its questions from one, too."""
        try:
            answer = Answer(ask.number, await self._find(ask.wish))
        except Exception as error:  # noqa: BLE001 - the worker decides
            answer = Answer(ask.number, error)
        if wire is not None:
            wire.send(answer)

    async def _find(self, wish: tuple[Pending, ...] | NormalizedName) -> set[PackagePath] | KeptPage | None:
        if isinstance(wish, tuple):
            return await self._catalog_proxy.claim(wish)
        return await self._catalog_proxy.kept(wish)

    def _lost(self) -> None:
        self._wire = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(WorkerLostError(LOST))
        if self._jobs:
            log.error("worker lost", projects=len(self._jobs))
        for done in self._jobs.values():
            if not done.done():
                done.set_exception(WorkerLostError(LOST))
