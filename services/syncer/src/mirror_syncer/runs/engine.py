"""
The engine: starts, supervises and ends the runs of the book.

The projects of all runs go through one queue, so a person's `sync requests` overtakes a first sync of the whole index.
One whole run of each kind is active at a time; runs that name projects are active beside it.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog

from mirror_contract import RunKind, RunRequest, RunState
from mirror_syncer.catalog import Fact
from mirror_syncer.errors import MirrorError, PathError, StateError, VolumeError
from mirror_syncer.publish.reconciliation import Reconciliation
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.dispatcher import Dispatcher
from mirror_syncer.runs.ending import ending, log_ending
from mirror_syncer.runs.executor import RunExecutor
from mirror_syncer.runs.garbage_collection import Collection
from mirror_syncer.runs.sync import Sync
from mirror_syncer.runs.sync.closure_step import ClosureStep
from mirror_syncer.runs.sync.maturity import Maturity
from mirror_syncer.runs.sync.recheck import Recheck
from mirror_syncer.runs.verify.verifier import Verifier

log = structlog.get_logger()

_PROGRESS_SECONDS = 10.0
_MAX_NAMED_RUNS = 10  # active at a time
_CANCEL_SECONDS = 5.0  # enough for what is nearly done
_STOP_SECONDS = 60.0  # for active tasks to finish; compose kills after 120


class Engine:
    """
    Carries out runs until stopped.

    Attributes:
        context: what the runs use.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self._clock = context.clock
        self._runs = context.runs
        self._volume = context.volume
        collection = Collection(context)
        closure_step = ClosureStep(context)
        self._verifier = Verifier(context, collection)
        self._executors = {
            RunKind.SYNC: Sync(context, collection, closure_step),
            RunKind.VERIFY: self._verifier,
            RunKind.COLLECT: collection,
        }
        self._dispatcher = Dispatcher(context, self._verifier)
        self._recheck = Recheck(context)
        self._maturity = Maturity(context, closure_step)
        self._reconciliation = Reconciliation(
            catalog=context.catalog,
            volume=context.volume,
            generations=context.generations,
            project_list=context.project_list,
        )
        self._grace_seconds = _STOP_SECONDS
        self._stopping = asyncio.Event()
        self._reconciling = asyncio.Lock()

    async def run(self) -> None:
        """Carry out runs until ``stop``; a cancellation has the same effect without waiting for active tasks."""
        with contextlib.suppress(VolumeError):  # each run tries again, and fails with this error
            await self._reconcile()
        committer = asyncio.create_task(self.context.commit_group.run())
        background = [
            asyncio.create_task(work) for work in (self._recheck.run(), self._maturity.run(), self._clock.run())
        ]
        executions: set[asyncio.Task[None]] = set()
        self._dispatcher.start()
        try:
            while not self._stopping.is_set():
                self._runs.changed.clear()
                for run in self._runs.queued():
                    if not self._must_wait(run.request):
                        self._runs.start(run)
                        executions.add(execution := asyncio.create_task(self._execute(run)))
                        execution.add_done_callback(executions.discard)
                await self._runs.changed.wait()
        finally:
            for work in background:
                work.cancel()
            await self._dispatcher.stop(grace_seconds=self._grace_seconds if self._stopping.is_set() else 0)
            await _cancel([*executions, committer, *background])
            self._verifier.close()
            for run in self._runs.running():
                await self._save(run)

    @property
    def needs_reconciliation(self) -> bool:
        """Whether tree and catalog are of different times, so that a sync has to download pages again."""
        return self._reconciliation.mismatch() is not None

    def stop(self, *, grace_seconds: float | None = None) -> None:
        """Let active tasks finish within the grace and start no other; the runs continue after the next start."""
        if grace_seconds is not None:
            self._grace_seconds = grace_seconds
        self._stopping.set()
        self._runs.changed.set()

    async def cancel(self, run: ActiveRun) -> None:
        """
        Let a run end after its active tasks, without those that still wait for upstream after the grace.

        Their projects stay as they were. What they downloaded is kept for the next run, including parts of large files.
        """
        run.cancel(grace_seconds=_CANCEL_SECONDS)
        if run.document.state is RunState.QUEUED:
            self._finish(run)
        else:
            run.progress.finish_tasks(await self.context.queue.drop(run.id))

    def _must_wait(self, request: RunRequest) -> bool:
        """
        Return whether a run must wait for others.

        Two whole runs of one kind would do everything twice; a few runs that name projects are enough to keep the
        connection and the worker reserved for them busy.
        """
        running = [run.request for run in self._runs.running()]
        if request.projects is not None or request.offline:
            return sum(other.projects is not None or other.offline for other in running) >= _MAX_NAMED_RUNS
        return any(other.projects is None and not other.offline and other.kind is request.kind for other in running)

    async def _execute(self, run: ActiveRun) -> None:
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        if run.resumed:
            run.reset_counts()
        supervision = asyncio.create_task(self._supervise(run))
        try:
            await asyncio.to_thread(self._runs.save, run)
            await asyncio.to_thread(self._volume.check_present)
            await self._reconcile(run)
            await asyncio.to_thread(self._volume.trim_ballast)
            await asyncio.to_thread(self._volume.trim_changes)
            await self._clock.check()  # before anything is removed because its time has come
            await self._executor(run).execute(run)
        except PathError as error:
            run.error = run.error or await asyncio.to_thread(self._volume_error, error)
        except MirrorError as error:
            run.error = run.error or error
        except Exception as error:
            log.exception("run failed")
            run.error = run.error or error
        finally:
            await _cancel([supervision])
        self._finish(run)

    def _executor(self, run: ActiveRun) -> RunExecutor:
        return self._executors[run.request.kind]

    async def _reconcile(self, run: ActiveRun | None = None) -> None:
        """
        Check whether tree and catalog belong together, and reconcile them if they do not.

        Raises:
            VolumeError: they do not, and other runs are changing them.
        """
        async with self._reconciling:
            mismatch = await asyncio.to_thread(self._reconciliation.mismatch)
            if mismatch and self.context.queue.active_count():
                raise VolumeError(f"{mismatch}, and other runs are active: cancel them, or restart the syncer")
            await asyncio.to_thread(self._reconciliation.run)
            if mismatch and run is not None:
                run.report.remarks.append(f"{mismatch}: pages that differ are downloaded again")

    def _volume_error(self, error: PathError) -> PathError | VolumeError:
        """Return what is wrong with the tree as a whole, or else the error of the one path."""
        try:
            self._volume.check_usable()
        except VolumeError as volume_error:
            return volume_error
        return error

    def _finish(self, run: ActiveRun) -> None:
        state, message = ending(run)
        run.document.phases = {name: round(seconds, 3) for name, seconds in run.progress.phases.items()}
        with contextlib.suppress(StateError):
            self._remember_news(run)
        self._runs.end(run, state, message=message)
        self.context.metrics.count_run(run.document, phases=run.progress.phases)
        with contextlib.suppress(StateError):  # the next run records it
            self._executor(run).conclude(run)
        log_ending(run)

    async def _save(self, run: ActiveRun) -> None:
        """Store a run's progress; a failure is only logged."""
        try:
            await self._executor(run).save(run)
            await asyncio.to_thread(self._remember_news, run)
        except StateError as error:
            log.warning("the progress of the run could not be saved", why=str(error))

    def _remember_news(self, run: ActiveRun) -> None:
        """Record when upstream last had news; also during a run, which may take weeks."""
        if run.sync.upstream_news:
            run.sync.upstream_news = False
            self.context.catalog.remember(Fact.UPSTREAM_CHANGED_AT, str(int(time.time())))

    async def _supervise(self, run: ActiveRun) -> None:
        """Save and log a run's progress every ten seconds."""
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            await self._save(run)
            run.report.log.summarize_periodically()
            counts = run.progress.counts
            log.info(
                "progress",
                done=counts.projects_done,
                of=counts.projects_planned,
                files=counts.files_fetched or counts.files_verified,
                bytes=counts.bytes_fetched or counts.bytes_verified,
            )


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
