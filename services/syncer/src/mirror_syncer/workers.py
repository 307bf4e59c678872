"""The workers: each takes one project at a time from the queue and sees it through to its group's commit."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.catalog import Catalog, ProjectRow
from mirror_syncer.catalog.rows import GONE
from mirror_syncer.collection import collect
from mirror_syncer.errors import Unreachable, VolumeError
from mirror_syncer.metrics import Metrics
from mirror_syncer.priority import Priority
from mirror_syncer.publish import CommitGroup, ProjectList
from mirror_syncer.runs import ActiveRun, Runs
from mirror_syncer.transfer import Outcome, Transfer, Work
from mirror_syncer.verification import verify
from mirror_syncer.volume import Volume
from mirror_syncer.workqueue import Action, Closed, Task, WorkQueue

log = structlog.get_logger()

# So many projects in a row without an answer: the upstream is down, and the rest is not worth the waiting.
_UNREACHABLE_IN_A_ROW = 10
_REPAIR = "`mirrorctl verify --repair` fetches it again"


class Workers:
    """
    Works the queue until closed.

    Args:
        recover: puts right what a project's turn that broke off had in hand.
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
        project_list: ProjectList,
        recover: Callable[[NormalizedName], None],
        at_once: int,
    ) -> None:
        self._catalog = catalog
        self._volume = volume
        self._runs = runs
        self._queue = queue
        self._transfer = transfer
        self._group = group
        self._metrics = metrics
        self._list = project_list
        self._recover = recover
        self._slots = [Priority.NAMED, *[Priority.BACKLOG] * at_once]
        self._tasks: list[asyncio.Task[None]] = []
        self._settling: set[asyncio.Task[None]] = set()

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
                began = time.monotonic()
                try:
                    outcome = await self._perform(task, run)
                    if task.action is Action.REFRESH and outcome is not None:
                        await self._listen(run, outcome, began=began)
                    settled = None if outcome is None else await self._group.submit(outcome.publication)
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # noqa: BLE001 - one project must not take the others with it
                    await self._failed(task, run, error)
                else:
                    settling = asyncio.create_task(self._settle(task, run, outcome, settled))
                    self._settling.add(settling)
                    settling.add_done_callback(self._settling.discard)

    async def _listen(self, run: ActiveRun, outcome: Outcome, *, began: float) -> None:
        """End a run whose upstream has fallen silent."""
        run.heard(answered=not outcome.unreachable, began=began, newly=outcome.newly)
        if run.unanswered >= _UNREACHABLE_IN_A_ROW:
            await self.abort(run, Unreachable(f"upstream does not answer: {outcome.row.error}"))

    async def _perform(self, task: Task, run: ActiveRun) -> Outcome | None:
        if task.action is Action.COLLECT:
            left = await asyncio.to_thread(collect, task.name, catalog=self._catalog, volume=self._volume)
            run.document.counts.files_removed += left
            return None
        row = await asyncio.to_thread(self._catalog.projects.get, task.name)
        work = Work(task.name, task.priority, row, wanted=task.wanted, force=run.request.force)
        match task.action:
            case Action.REFRESH:
                return await self._transfer.refresh(work)
            case Action.WITHDRAW:
                reason = task.reason or (GONE if task.name in run.gone else "no longer selected in mirror.toml")
                return await self._transfer.withdraw(row or ProjectRow(task.name), reason=reason)
            case Action.VERIFY:
                return await self._verify(work, run)

    async def _verify(self, work: Work, run: ActiveRun) -> Outcome | None:
        verdict = await asyncio.to_thread(verify, self._volume, work.name)
        run.document.counts.files_verified += verdict.files
        for damage in verdict.damages:
            self._metrics.count_damage(damage.reason)
        if verdict.damages and run.request.repair:
            log.warning("repairing", project=work.name, files=[damage.what for damage in verdict.damages])
            places = frozenset(damage.place for damage in verdict.damages)
            return await self._transfer.refresh(replace(work, force=True, damaged=places))
        found = (
            Failure(project=work.name, file=one.what, reason=f"{one.reason} on disk; {_REPAIR}")
            for one in verdict.damages
        )
        run.note(*found)
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
        if task.action is not Action.COLLECT:
            run.document.counts.projects_done += 1
        await self._queue.done(task)
        run.task_done()

    def _count(self, run: ActiveRun, outcome: Outcome) -> None:
        counts, row, tally = run.document.counts, outcome.row, outcome.tally
        counts.projects_changed += outcome.publication.staged is not None
        if outcome.publication.staged is not None or outcome.publication.withdrawn:
            self._list.changed()
        counts.projects_partial += row.state is ProjectState.PARTIAL
        # A page that lags behind the list is behind, and no failure.
        counts.projects_failed += bool(outcome.failures) and row.state in (ProjectState.FAILING, ProjectState.BEHIND)
        # With everything, the catalog knows them: there may be any number.
        if outcome.gone and not run.follows_list:
            run.gone.append(row.name)
        counts.projects_withdrawn += outcome.publication.withdrawn
        counts.files_fetched += tally.fetched
        counts.files_failed += len(tally.failures)
        counts.bytes_fetched += tally.fetched_bytes
        self._metrics.count_transfers(tally)
        run.note(*outcome.failures)

    async def _failed(self, task: Task, run: ActiveRun, error: Exception) -> None:
        """End a project's turn that broke off; a disk that says no ends the run, anything else is one project's."""
        if isinstance(error, VolumeError):
            await self.abort(run, error)
        else:
            log.error("project failed", project=task.name, exc_info=error)
            run.document.counts.projects_failed += 1
            run.note(Failure(project=task.name, reason=f"{type(error).__name__}: {error}"))
        # What it had in hand is put right now, not at the next start: the next turn would forget it.
        with contextlib.suppress(Exception):
            await asyncio.to_thread(self._recover, task.name)
        await self._queue.done(task)
        run.task_done()
