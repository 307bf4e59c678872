"""The crew: all workers, of which one is in this process and the others in processes of their own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Protocol

import structlog

from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import WorkerLostError
from mirror_syncer.volume import Volume
from mirror_syncer.work.catalog_proxy import DirectCatalogProxy
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob
from mirror_syncer.work.process import LOST, WorkerProcess
from mirror_syncer.work.setup import CatalogProxy, Observations, Setup
from mirror_syncer.work.transfer import Compared, Comparison, Outcome, Withdrawal, Work
from mirror_syncer.work.worker import Job, Result, Worker, open_worker

log = structlog.get_logger()

_ENOUGH = 4  # jobs that each worker has in hand; a process takes 0.4 s to start, and does 200 projects in a second


class WorkerHandle(Protocol):
    """A worker, wherever it is."""

    async def perform(self, job: Job) -> Result:
        """See ``Worker.perform``."""


class WorkerPool:
    """All workers; a job goes to the one that has the fewest in hand. Processes are started when there is enough."""

    def __init__(self, here: Worker, processes: Sequence[WorkerProcess] = (), *, catalog_proxy: CatalogProxy) -> None:
        self._catalog_proxy = catalog_proxy
        self._in_hand: dict[WorkerHandle, int] = {here: 0}
        self._to_start = list(processes)
        self._starting: asyncio.Task[None] | None = None
        self.index = here.index
        """Upstream, as the worker in this process asks it."""

    def choose(self) -> WorkerHandle:
        """Return the worker that has the fewest jobs in hand."""
        return min(self._in_hand, key=self._in_hand.__getitem__)

    async def perform(self, job: Work | Withdrawal) -> Outcome:
        """
        See ``Worker.perform``; raises ``WorkerLostError`` besides.

        Cancelled, it returns when nobody works at the job any more, and all that the job noted is in the catalog.
        """
        hand = await self._choose_running()
        try:
            outcome = await self._have_done(job, hand=hand)
        except asyncio.CancelledError:
            await self._catalog_proxy.claim(())  # what was to be noted before this is noted after it
            raise
        assert isinstance(outcome, Outcome)
        return outcome

    async def compare(self, comparison: Comparison) -> Compared:
        """See ``UpstreamComparison.compare``; raises ``WorkerLostError`` besides."""
        compared = await self._have_done(comparison, hand=await self._choose_running())
        assert isinstance(compared, Compared)
        return compared

    async def look(self, look: InspectionJob, *, at: WorkerHandle) -> InspectionResult | None:
        """See ``Inspector.look``, at one worker; also raises ``WorkerLostError``: the next look then starts over."""
        verdict = await self._have_done(look, hand=at)
        assert verdict is None or isinstance(verdict, InspectionResult)
        return verdict

    def close(self) -> None:
        """Start no further process."""
        self._to_start.clear()
        if self._starting is not None:
            self._starting.cancel()

    async def _choose_running(self) -> WorkerHandle:
        hand = self.choose()
        while isinstance(hand, WorkerProcess) and not hand.runs and not await asyncio.shield(self._restart(hand)):
            hand = self.choose()
        return hand

    async def _have_done(self, job: Job, *, hand: WorkerHandle) -> Result:
        if hand not in self._in_hand:
            raise WorkerLostError(LOST)
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
        except (WorkerLostError, OSError) as error:
            self._in_hand.pop(process, None)
            log.warning("a worker does not start; the others do its work", why=str(error))
            return False
        return True


@asynccontextmanager
async def open_worker_pool(
    setup: Setup, *, workers: int, catalog: Catalog, volume: Volume, observations: Observations
) -> AsyncIterator[WorkerPool]:
    """
    Put a crew together, and send it home in the end.

    One of them works in this process, which has its rows at hand and is spared 60 MB and the wire.

    Args:
        setup: for all of them together; connections and bandwidth are shared out.
        workers: how many; each besides the first in a process of its own.
    """
    catalog_proxy = DirectCatalogProxy(catalog)
    shares = [
        replace(
            setup,
            connections=_share(setup.connections, workers, number),
            bandwidth=setup.bandwidth and _share(setup.bandwidth, workers, number),
        )
        for number in range(workers)
    ]
    async with AsyncExitStack() as stack:
        here = open_worker(shares[0], tree=volume, catalog_proxy=catalog_proxy, observations=observations)
        worker = await stack.enter_async_context(here)
        processes = []
        for share in shares[1:]:
            process = WorkerProcess(share, catalog_proxy=catalog_proxy, observations=observations)
            stack.push_async_callback(process.stop)
            processes.append(process)
        worker_pool = WorkerPool(worker, processes, catalog_proxy=catalog_proxy)
        try:
            yield worker_pool
        finally:
            worker_pool.close()


def _share(whole: int, parts: int, number: int) -> int:
    """Return a part's share of a whole number; all parts together have the whole."""
    return whole // parts + (number < whole % parts)
