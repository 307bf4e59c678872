"""The worker pool: one worker in this process, the others in worker processes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import structlog

from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import WorkerLostError
from mirror_syncer.volume import AnyVolume
from mirror_syncer.work.catalog_proxy import DirectCatalogProxy
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob
from mirror_syncer.work.process import LOST, WorkerProcess
from mirror_syncer.work.setup import CatalogProxy, Observations, WorkerSetup
from mirror_syncer.work.transfer import Compared, Comparison, Outcome, Withdrawal, Work
from mirror_syncer.work.worker import Job, Result, Worker, open_worker

log = structlog.get_logger()

# Active jobs of each worker before another process is started, which takes 0.4 s and then does 200 projects a second.
_JOBS_PER_WORKER = 4
# Inspections run in one thread per core. Another process pays only for small files, where most of the time is Python's
# own, and only if there are enough of them for its start.
_SMALL_FILE_BYTES = 2**17
_FILES_FOR_A_PROCESS = 1_000


class WorkerHandle(Protocol):
    """A worker in this process or in another one."""

    async def perform(self, job: Job) -> Result:
        """See ``Worker.perform``."""


class WorkerPool:
    """
    All workers; a job goes to the worker with the fewest active jobs. Processes are started when there is enough work.

    Attributes:
        index: upstream, as the worker in this process asks it.
    """

    def __init__(self, local: Worker, processes: Sequence[WorkerProcess] = (), *, catalog_proxy: CatalogProxy) -> None:
        self._catalog_proxy = catalog_proxy
        self._active_jobs: dict[WorkerHandle, int] = {local: 0}
        self._to_start = list(processes)
        self._starting: asyncio.Task[None] | None = None
        self._inspected_files = self._inspected_bytes = 0
        self.index = local.index

    def choose(self) -> WorkerHandle:
        """Return the worker with the fewest active jobs."""
        return min(self._active_jobs, key=self._active_jobs.__getitem__)

    async def perform(self, job: Work | Withdrawal) -> Outcome:
        """
        See ``Worker.perform``; also raises ``WorkerLostError``.

        Cancelled, it returns when no worker works on the job any longer, and the catalog has all its intents.
        """
        worker = await self._choose_running()
        try:
            outcome = await self._perform_at(worker, job)
        except asyncio.CancelledError:
            await self._catalog_proxy.claim(())  # returns when all earlier intents are recorded
            raise
        assert isinstance(outcome, Outcome)
        return outcome

    async def compare(self, comparison: Comparison) -> Compared:
        """See ``UpstreamComparison.compare``; also raises ``WorkerLostError``."""
        compared = await self._perform_at(await self._choose_running(), comparison)
        assert isinstance(compared, Compared)
        return compared

    async def inspect(self, job: InspectionJob, *, worker: WorkerHandle) -> InspectionResult | None:
        """See ``Inspector.inspect``; also raises ``WorkerLostError``, and the next slice then starts over."""
        result = await self._perform_at(worker, job, starts=self._inspects_small_files)
        assert result is None or isinstance(result, InspectionResult)
        if result is not None:
            self._inspected_files += result.files
            self._inspected_bytes += result.bytes
        return result

    @property
    def _inspects_small_files(self) -> bool:
        files = self._inspected_files
        return files >= _FILES_FOR_A_PROCESS and self._inspected_bytes < files * _SMALL_FILE_BYTES

    def close(self) -> None:
        """Start no further process."""
        self._to_start.clear()
        if self._starting is not None:
            self._starting.cancel()

    async def _choose_running(self) -> WorkerHandle:
        worker = self.choose()
        while isinstance(worker, WorkerProcess) and not worker.runs and not await asyncio.shield(self._start(worker)):
            worker = self.choose()
        return worker

    async def _perform_at(self, worker: WorkerHandle, job: Job, *, starts: bool = True) -> Result:
        """Perform a job at a worker; ``starts``: if the worker has enough of them, start another process."""
        if worker not in self._active_jobs:
            raise WorkerLostError(LOST)
        self._active_jobs[worker] += 1
        if starts and self._to_start and self._starting is None and self._active_jobs[worker] >= _JOBS_PER_WORKER:
            self._starting = asyncio.create_task(self._add(self._to_start.pop()))
        try:
            return await worker.perform(job)
        finally:
            if worker in self._active_jobs:
                self._active_jobs[worker] -= 1

    async def _add(self, process: WorkerProcess) -> None:
        if await self._start(process):
            self._active_jobs[process] = 0
        self._starting = None

    async def _start(self, process: WorkerProcess) -> bool:
        """Start a process, or remove it from the pool: always idle, it would get every job and fail it."""
        try:
            await process.start()
        except (WorkerLostError, OSError) as error:
            self._active_jobs.pop(process, None)
            log.warning("a worker failed to start; continuing without it", why=str(error))
            return False
        return True


@asynccontextmanager
async def open_worker_pool(
    setup: WorkerSetup, *, workers: int, catalog: Catalog, volume: AnyVolume, observations: Observations
) -> AsyncIterator[WorkerPool]:
    """
    Open a worker pool, and stop its processes at the end.

    The worker in this process reads the catalog directly and saves 60 MB of memory and the wire.

    Args:
        setup: of all workers together; they share connections and bandwidth.
        workers: how many, including the one in this process.
    """
    catalog_proxy = DirectCatalogProxy(catalog)
    shares = [setup.share(number, of=workers) for number in range(workers)]
    async with AsyncExitStack() as stack:
        local = open_worker(shares[0], tree=volume, catalog_proxy=catalog_proxy, observations=observations)
        worker = await stack.enter_async_context(local)
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
