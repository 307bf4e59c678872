"""The crew: workers in this process or in processes of their own, and the parent's end of the wire to each."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Protocol

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import WorkerLost
from mirror_syncer.names import PackagePath
from mirror_syncer.rows import KeptPage, Pending
from mirror_syncer.transfer import Outcome, Withdrawal, Work
from mirror_syncer.verification import Verdict
from mirror_syncer.volume import Volume
from mirror_syncer.work.desk import Look
from mirror_syncer.work.setup import Errands, Observations, Setup
from mirror_syncer.work.wire import Answer, Ask, Begin, Do, Done, Message, Ready, Wire
from mirror_syncer.work.worker import Job, Result, Worker, open_worker

log = structlog.get_logger()

_GOING_SECONDS = 5.0
_ENOUGH = 4  # jobs that each worker has in hand; a process takes 0.4 s to start, and does 200 projects in a second
_LOST = "its worker process ended; look for an end of memory in the kernel's log"
_TOGETHER_SECONDS = 0.003  # that an intent waits for others; a project takes ten times as long


class Hand(Protocol):
    """A worker, wherever it is."""

    async def perform(self, job: Job) -> Result:
        """See ``Worker.perform``."""


class CatalogErrands:
    """
    Does workers' errands at the catalog, those that come together in one transaction.

    A transaction in a thread costs 0.5 ms, whether it notes one project's intents or fifty's.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._waiting: list[tuple[Sequence[Pending], asyncio.Future[set[PackagePath]]]] = []
        self._noting: asyncio.Task[None] | None = None

    async def intend(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """Note what is about to be touched."""
        noted: asyncio.Future[set[PackagePath]] = asyncio.get_running_loop().create_future()
        self._waiting.append((intents, noted))
        if self._noting is None:
            self._noting = asyncio.create_task(self._note())
        return await noted

    async def kept(self, name: NormalizedName) -> KeptPage | None:
        """Return upstream's page, as it was kept for a project."""
        return await asyncio.to_thread(self._catalog.projects.kept, name)

    async def _note(self) -> None:
        while self._waiting:
            await asyncio.sleep(_TOGETHER_SECONDS)
            waiting, self._waiting = self._waiting, []
            try:
                taken = await asyncio.to_thread(self._catalog.files.intend_all, [intents for intents, _ in waiting])
            except Exception as error:  # noqa: BLE001 - whoever waits for it decides
                for _, noted in waiting:
                    if not noted.done():
                        noted.set_exception(error)
                continue
            for (_, noted), places in zip(waiting, taken, strict=True):
                if not noted.done():
                    noted.set_result(places)
        self._noting = None


class WorkerProcess:
    """
    A worker in a process of its own, which is started again where it dies.

    What it had in hand then fails with ``WorkerLost``; the next run looks at it again.
    """

    def __init__(self, setup: Setup, *, errands: Errands, observations: Observations) -> None:
        self._setup = setup
        self._errands = errands
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
        """See ``Worker.perform``."""
        wire = self._wire or await self.start()
        self._given += 1
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        number = self._given
        self._jobs[number] = done
        wire.send(Do(number, job))
        try:
            return await done
        finally:
            self._jobs.pop(number, None)

    async def start(self) -> Wire:
        """
        Start the process, unless it runs; return when it is ready.

        Raises:
            WorkerLost: it ended before it was.
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
                    raise WorkerLost(_LOST)
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
            found: set[PackagePath] | KeptPage | Exception | None
            if isinstance(ask.wish, tuple):
                found = await self._errands.intend(ask.wish)
            else:
                found = await self._errands.kept(ask.wish)
        except Exception as error:  # noqa: BLE001 - the worker decides
            found = error
        if wire is not None:
            wire.send(Answer(ask.number, found))

    def _lost(self) -> None:
        self._wire = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(WorkerLost(_LOST))
        if self._jobs:
            log.error("worker lost", projects=len(self._jobs))
        for done in self._jobs.values():
            if not done.done():
                done.set_exception(WorkerLost(_LOST))


class Crew:
    """All workers; a job goes to the one that has the fewest in hand. Processes are started when there is enough."""

    def __init__(self, here: Worker, processes: Sequence[WorkerProcess] = ()) -> None:
        self._in_hand: dict[Hand, int] = {here: 0}
        self._to_start = list(processes)
        self._starting: asyncio.Task[None] | None = None
        self.index = here.index
        """Upstream, as the worker in this process asks it."""

    @property
    def at_work(self) -> int:
        """How many of them are ready."""
        return len(self._in_hand)

    def choose(self) -> Hand:
        """Return the worker that has the fewest jobs in hand."""
        return min(self._in_hand, key=self._in_hand.__getitem__)

    async def perform(self, job: Work | Withdrawal) -> Outcome:
        """See ``Worker.perform``; raises ``WorkerLost`` besides."""
        hand = self.choose()
        while isinstance(hand, WorkerProcess) and not hand.runs and not await self._restart(hand):
            hand = self.choose()
        outcome = await self._have_done(job, hand=hand)
        assert isinstance(outcome, Outcome)
        return outcome

    async def look(self, look: Look, *, at: Hand) -> Verdict | None:
        """See ``Desk.look``, at one worker's; raises ``WorkerLost`` besides: then the next one there begins anew."""
        verdict = await self._have_done(look, hand=at)
        assert not isinstance(verdict, Outcome)
        return verdict

    def close(self) -> None:
        """Start no further process."""
        self._to_start.clear()
        if self._starting is not None:
            self._starting.cancel()

    async def _have_done(self, job: Job, *, hand: Hand) -> Result:
        self._in_hand[hand] += 1
        if self._to_start and self._starting is None and self._in_hand[hand] >= _ENOUGH:
            self._starting = asyncio.create_task(self._start(self._to_start.pop()))
        try:
            return await hand.perform(job)
        finally:
            if hand in self._in_hand:
                self._in_hand[hand] -= 1

    async def _start(self, process: WorkerProcess) -> None:
        if await self._restart(process):
            self._in_hand[process] = 0
        self._starting = None

    async def _restart(self, process: WorkerProcess) -> bool:
        """Start a process, or do without it: idle for ever, it would be given each job, and fail it."""
        try:
            await process.start()
        except (WorkerLost, OSError) as error:
            self._in_hand.pop(process, None)
            log.warning("a worker does not start; the others do its work", why=str(error))
            return False
        return True


@asynccontextmanager
async def open_crew(
    setup: Setup, *, workers: int, catalog: Catalog, volume: Volume, observations: Observations
) -> AsyncIterator[Crew]:
    """
    Put a crew together, and send it home in the end.

    One of them works in this process, which has its rows at hand and is spared 60 MB and the wire.

    Args:
        setup: for all of them together; connections and bandwidth are shared out.
        workers: how many; each besides the first in a process of its own.
    """
    errands = CatalogErrands(catalog)
    shares = [
        replace(
            setup,
            connections=_share(setup.connections, workers, number),
            bandwidth=setup.bandwidth and _share(setup.bandwidth, workers, number),
        )
        for number in range(workers)
    ]
    async with AsyncExitStack() as stack:
        here = open_worker(shares[0], tree=volume, errands=errands, observations=observations)
        worker = await stack.enter_async_context(here)
        processes = []
        for share in shares[1:]:
            process = WorkerProcess(share, errands=errands, observations=observations)
            stack.push_async_callback(process.stop)
            processes.append(process)
        crew = Crew(worker, processes)
        try:
            yield crew
        finally:
            crew.close()


def _share(whole: int, parts: int, number: int) -> int:
    """Return a part's share of a whole number; all parts together have the whole."""
    return whole // parts + (number < whole % parts)
