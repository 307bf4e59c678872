"""The workers: each takes one project at a time from the queue and sees it through to its group's commit."""

import asyncio
import contextlib
from dataclasses import replace

import structlog

from mirror_contract import Failure, ProjectState
from mirror_syncer.catalog import Catalog, ProjectRow
from mirror_syncer.errors import InvalidPage, Unreachable, VolumeError
from mirror_syncer.metrics import Metrics
from mirror_syncer.planning import Priority
from mirror_syncer.publish import CommitGroup
from mirror_syncer.runs import ActiveRun, Runs
from mirror_syncer.transfer import Outcome, Transfer, Work
from mirror_syncer.verification import verify
from mirror_syncer.volume import Volume
from mirror_syncer.workqueue import Action, Closed, Task, WorkQueue

log = structlog.get_logger()

# So many projects in a row without an answer: the upstream is down, and the rest is not worth the waiting.
_UNREACHABLE_IN_A_ROW = 10


class Workers:
    """
    Works the queue until closed.

    Args:
        at_once: projects under way together; one more is kept for those that a person named.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        volume: Volume,
        runs: Runs,
        queue: WorkQueue,
        transfer: Transfer,
        group: CommitGroup,
        metrics: Metrics,
        at_once: int,
    ) -> None:
        self._catalog = catalog
        self._volume = volume
        self._runs = runs
        self._queue = queue
        self._transfer = transfer
        self._group = group
        self._metrics = metrics
        self._slots = [Priority.NAMED, *[Priority.BACKLOG] * at_once]
        self._tasks: list[asyncio.Task[None]] = []
        self._settling: set[asyncio.Task[None]] = set()
        self._unanswered = 0

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._work(at_most)) for at_most in self._slots]

    async def stop(self, *, grace_seconds: float) -> None:
        """Let current projects finish, abandon those that take longer; return when all is settled."""
        await self._queue.close()
        _, late = await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._settling:
            await asyncio.wait(self._settling)

    async def abort(self, run: ActiveRun, error: Exception) -> None:
        """Let nothing more be done for a run."""
        if run.fatal is None:
            run.fatal = error
            run.task_done(await self._queue.drop(run.id))

    async def _work(self, at_most: Priority) -> None:
        """Take one task after the other."""
        with contextlib.suppress(Closed):
            while True:
                task = await self._queue.get(at_most=at_most)
                run = self._runs.active(task.run_id)
                if run is None:
                    await self._queue.done(task)
                    continue
                structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
                try:
                    outcome = await self._perform(task, run)
                    settled = None if outcome is None else await self._group.submit(outcome.publication)
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # noqa: BLE001 - one project must not take the others with it
                    await self._failed(task, run, error)
                else:
                    settling = asyncio.create_task(self._settle(task, run, outcome, settled))
                    self._settling.add(settling)
                    settling.add_done_callback(self._settling.discard)

    async def _perform(self, task: Task, run: ActiveRun) -> Outcome | None:
        row = await asyncio.to_thread(self._catalog.projects.get, task.name)
        work = Work(task.name, task.priority, row, force=run.request.force)
        match task.action:
            case Action.REFRESH:
                return await self._transfer.refresh(work)
            case Action.WITHDRAW:
                reason = "no longer selected in mirror.toml"
                return await self._transfer.withdraw(row or ProjectRow(task.name), reason=reason)
            case Action.VERIFY:
                return await self._verify_project(work, run)

    async def _verify_project(self, work: Work, run: ActiveRun) -> Outcome | None:
        try:
            verdict = await asyncio.to_thread(verify, self._volume, work.name)
        except InvalidPage as error:
            run.note(Failure(project=work.name, reason=f"its published page is damaged: {error}"))
            return await self._transfer.refresh(replace(work, force=True)) if run.request.repair else None
        run.document.counts.files_verified += verdict.files
        for damage in verdict.damages:
            self._metrics.verification_failures.labels(damage.reason).inc()
        if verdict.damages and run.request.repair:
            places = frozenset(damage.place for damage in verdict.damages)
            log.warning("repairing", project=work.name, files=[damage.filename for damage in verdict.damages])
            return await self._transfer.refresh(replace(work, force=True, damaged=places))
        for damage in verdict.damages:
            run.note(Failure(project=work.name, file=damage.filename, reason=f"{damage.reason} on disk"))
        return None

    async def _settle(
        self, task: Task, run: ActiveRun, outcome: Outcome | None, settled: asyncio.Future[None] | None
    ) -> None:
        """Wait for a project's group; only then is it done."""
        try:
            if settled is not None:
                await settled
        except Exception as error:  # noqa: BLE001 - as for every project
            await self._failed(task, run, error)
            return
        if outcome is not None:
            self._count(run, outcome)
        run.document.counts.projects_done += 1
        if outcome is not None and outcome.unreachable:
            run.unreachable += 1
            self._unanswered += 1
            if self._unanswered >= _UNREACHABLE_IN_A_ROW:
                await self.abort(run, Unreachable(f"upstream does not answer: {outcome.row.error}"))
        else:
            self._unanswered = 0
        await self._queue.done(task)
        run.task_done()

    def _count(self, run: ActiveRun, outcome: Outcome) -> None:
        counts, row, tally = run.document.counts, outcome.row, outcome.tally
        counts.projects_changed += outcome.publication.staged is not None
        counts.projects_partial += row.state is ProjectState.PARTIAL
        counts.projects_failed += row.state in (ProjectState.FAILING, ProjectState.BEHIND)
        counts.projects_withdrawn += outcome.publication.withdrawn
        counts.files_fetched += tally.fetched
        counts.files_failed += len(tally.failures)
        counts.bytes_fetched += tally.fetched_bytes
        self._metrics.transfers.labels("file", "fetched").inc(tally.fetched)
        self._metrics.transfers.labels("file", "failed").inc(len(tally.failures))
        self._metrics.transfers.labels("metadata", "failed").inc(tally.metadata_missing)
        self._metrics.bytes.inc(tally.fetched_bytes)
        run.note(*outcome.failures)

    async def _failed(self, task: Task, run: ActiveRun, error: Exception) -> None:
        """A disk that says no ends the run; anything else is one project's fault, or ours."""
        if isinstance(error, VolumeError):
            await self.abort(run, error)
        else:
            log.error("project failed", project=task.name, exc_info=error)
            run.document.counts.projects_failed += 1
            run.note(Failure(project=task.name, reason=f"{type(error).__name__}: {error}"))
        run.document.counts.projects_done += 1
        await self._queue.done(task)
        run.task_done()
