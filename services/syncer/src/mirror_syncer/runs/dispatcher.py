"""Projects' turns: taken from the queue, done by the crew, seen through to their group's commit."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import PolicySource, fingerprint
from mirror_syncer.errors import (
    AbandonedError,
    MirrorError,
    PathError,
    StateError,
    UnreachableError,
    VolumeError,
    VolumeFullError,
)
from mirror_syncer.metrics import Metrics
from mirror_syncer.model.damage import Damage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import GONE, CatalogUpdate, ProjectRow
from mirror_syncer.publish import Publication
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.publish.generations import Generations
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.runs import ActiveRun, Runs
from mirror_syncer.runs.collection import collect
from mirror_syncer.runs.queue import Action, QueueClosedError, Task, WorkQueue
from mirror_syncer.runs.verify.verifier import SliceEndedError, Verifier
from mirror_syncer.volume import Volume
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.pool import WorkerPool
from mirror_syncer.work.transfer import Comparison, Outcome, Withdrawal, Work, after_failure

log = structlog.get_logger()

# So many projects in a row without an answer: the upstream is down, and the rest is not worth the waiting.
_UNREACHABLE_IN_A_ROW = 10
_ASKING = frozenset({Action.REFRESH, Action.SHRINK, Action.UNLIST})


class Dispatcher:
    """
    Gives each task of the queue its turn, until stopped.

    Args:
        recover: puts right what a project's turn that broke off had in hand.
        at_once: projects under way together; one more is kept for those that a person named.
    """

    def __init__(
        self,
        *,
        policy: PolicySource,
        catalog: Catalog,
        volume: Volume,
        runs: Runs,
        queue: WorkQueue,
        worker_pool: WorkerPool,
        group: CommitGroup,
        metrics: Metrics,
        project_list: ProjectList,
        verifier: Verifier,
        generations: Generations,
        recover: Callable[[NormalizedName], None],
        at_once: int,
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._volume = volume
        self._runs = runs
        self._queue = queue
        self._worker_pool = worker_pool
        self._group = group
        self._metrics = metrics
        self._list = project_list
        self._verifier = verifier
        self._generations = generations
        self._recover = recover
        self._at_once = at_once
        self._under_way = 0
        self._giving: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[None]] = set()
        """Of them, those that only wait for their group, which may be visible already: these are never abandoned."""

    def start(self) -> None:
        """Begin to work."""
        self._giving = asyncio.create_task(self._give())

    async def stop(self, *, grace_seconds: float) -> None:
        """Let current projects finish, abandon those that take longer; return when all is settled."""
        await self._queue.close()
        if self._giving is not None:
            await self._giving
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_seconds)
            for turn in late - self._settling:
                turn.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def abort(self, run: ActiveRun, error: Exception) -> None:
        """Let nothing more be done for a run."""
        if run.fatal is None:
            run.fatal = error
            run.task_done(await self._queue.drop(run.id))

    async def _give(self) -> None:
        """Give each task its turn, as soon as there is room for one more."""
        with contextlib.suppress(QueueClosedError):
            while True:
                task = await self._queue.get(at_most=self._at_most)
                run = self._runs.active(task.run_id)
                if run is None:
                    await self._queue.done(task)
                    continue
                self._under_way += 1
                processing = asyncio.create_task(self._process(task, run))
                self._tasks.add(processing)
                processing.add_done_callback(self._tasks.discard)

    def _at_most(self) -> Priority | None:
        if self._under_way < self._at_once:
            return Priority.BACKLOG
        return Priority.NAMED if self._under_way == self._at_once else None

    async def _process(self, task: Task, run: ActiveRun) -> None:
        """See one task through; only when its group is committed is it done."""
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        began = time.monotonic()
        try:
            try:
                outcome = await self._perform(task, run)
                if outcome is not None and outcome.tally.unusable:
                    await asyncio.to_thread(self._volume.check_usable)
                if task.action in _ASKING and outcome is not None:
                    await self._listen(run, outcome, began=began)
                settled = None if outcome is None else await self._group.submit(outcome.publication)
            finally:
                self._under_way -= 1
                await self._queue.wake()
            if settled is not None and (turn := asyncio.current_task()):
                self._settling.add(turn)
                turn.add_done_callback(self._settling.discard)
                await settled
        except SliceEndedError:
            await self._later(task, run)
            return
        except AbandonedError:
            await self._take_back(task, run)
            return
        except Exception as error:  # noqa: BLE001 - one project must not take the others with it
            await self._failed(task, run, error)
            return
        if outcome is not None:
            self._count(run, outcome, again=task.action is Action.SHRINK)
        if task.action is Action.VERIFY:
            repaired = outcome is not None and not outcome.failures
            self._verifier.settle(task.name, run, repaired=repaired)
        if task.action is not Action.COLLECT:
            run.document.counts.projects_done += 1
        await self._queue.done(task)
        run.task_done()

    async def _listen(self, run: ActiveRun, outcome: Outcome, *, began: float) -> None:
        """End a run whose upstream has fallen silent."""
        run.heard(answered=not outcome.unreachable, began=began, newly=outcome.newly)
        if run.unanswered >= _UNREACHABLE_IN_A_ROW:
            await self.abort(run, UnreachableError(f"upstream does not answer: {outcome.row.error}"))

    async def _perform(self, task: Task, run: ActiveRun) -> Outcome | None:
        if task.action is Action.COLLECT:
            collected = await asyncio.to_thread(
                collect, task.name, catalog=self._catalog, volume=self._volume, generations=self._generations
            )
            run.document.counts.files_removed += collected.files
            run.document.counts.bytes_removed += collected.bytes
            if collected.failures:
                await asyncio.to_thread(self._volume.check_usable)
                told = run.document.failures  # what a sync could not remove at its start it tries again in the end
                run.note(*(failure for failure in collected.failures if failure not in told))
            return None
        # In the loop's thread: one look into SQLite's cache takes 30 µs, the hop to another thread and back 100.
        row = self._catalog.projects.get(task.name)
        match task.action:
            case Action.REFRESH | Action.SHRINK | Action.UNLIST:
                return await self._refresh(task, run, row, force=run.request.force)
            case Action.WITHDRAW:
                reason = task.reason or (GONE if task.name in run.gone else "no longer selected in mirror.toml")
                return await self._worker_pool.perform(Withdrawal(row or ProjectRow(task.name), reason, self._grace))
            case Action.VERIFY:
                return await self._verify(task, run)

    async def _refresh(
        self, task: Task, run: ActiveRun, row: ProjectRow | None, *, force: bool, damages: Sequence[Damage] = ()
    ) -> Outcome:
        selection = self._policy.current.selection(task.name)
        if selection is None:
            failure = Failure(project=task.name, reason="not selected in mirror.toml any more, so nothing is fetched")
            return Outcome(Publication(CatalogUpdate(row or ProjectRow(task.name))), (failure,))
        work = Work(
            task.name,
            task.priority,
            row,
            selection,
            self._policy.current.serve,
            self._grace,
            wanted_serial=task.wanted,
            bounds=run.bounds,
            force=force,
            shrink=task.action is Action.SHRINK,
            unlisted=task.action is Action.UNLIST,
            damaged=frozenset(damage.place for damage in damages),
            disputed=frozenset(damage.place for damage in damages if damage.reason == "differs"),
        )
        async with run.waiting():
            return await self._worker_pool.perform(work)

    @property
    def _grace(self) -> int:
        return int(self._policy.current.removal.grace.total_seconds())

    async def _verify(self, task: Task, run: ActiveRun) -> Outcome | None:
        verdict = await self._verifier.look(task, run)
        if verdict.damages:
            await asyncio.to_thread(self._volume.check_present)  # all that was on a disk that is gone is missing
        if run.request.upstream:
            verdict = await self._compare(task, run, verdict)
        if not (verdict.damages and run.request.repair):
            return None
        log.warning("repairing", project=task.name, files=[damage.what for damage in verdict.damages])
        row = self._catalog.projects.get(task.name)
        return await self._refresh(task, run, row, force=True, damages=verdict.damages)

    async def _compare(self, task: Task, run: ActiveRun, verdict: InspectionResult) -> InspectionResult:
        """Compare with upstream what a project's look was about, where upstream is asked for it at all."""
        row, policy = self._catalog.projects.get(task.name), self._policy.current
        selection = policy.selection(task.name)
        if row is None or not row.published or selection is None:
            return verdict
        job = Comparison(row, selection, fingerprint(selection, serve=policy.serve), task.priority)
        async with run.waiting():
            return self._verifier.note_comparison(task.name, run, await self._worker_pool.compare(job))

    async def _later(self, task: Task, run: ActiveRun) -> None:
        """Let others have their turn before the next slice of a project."""
        await self._queue.done(task)
        if run.over:
            await self._verifier.give_up(task.name, run)
            run.task_done()
        else:
            await self._queue.put([task])

    def _count(self, run: ActiveRun, outcome: Outcome, *, again: bool) -> None:
        """
        Count what came of a project's turn.

        Args:
            again: the page was asked for a second time, to let it shrink. Failures of the first time are not repeated.
        """
        counts, row, tally = run.document.counts, outcome.row, outcome.tally
        known = run.document.failures if again else ()
        failures = [failure for failure in outcome.failures if failure not in known]
        repeated = bool(outcome.failures) and not failures
        run.news = run.news or outcome.news
        counts.projects_changed += outcome.publication.staged is not None
        if outcome.publication.staged is not None or outcome.publication.withdrawn:
            self._list.mark_changed()
        counts.projects_partial += row.state is ProjectState.PARTIAL and not repeated
        # A page that lags behind the list is behind, and no failure.
        counts.projects_failed += bool(failures) and row.state in (ProjectState.FAILING, ProjectState.BEHIND)
        # With everything, the catalog knows them: there may be any number.
        if outcome.gone and not run.follows_list:
            run.gone.append(row.name)
        counts.projects_withdrawn += outcome.publication.withdrawn
        counts.files_fetched += tally.fetched
        counts.files_failed += 0 if repeated else len(tally.failures)
        counts.bytes_fetched += tally.fetched_bytes
        self._metrics.count_transfers(tally)
        if outcome.altered:
            self._metrics.count_damage("altered")
        run.note(*failures)

    async def _failed(self, task: Task, run: ActiveRun, error: Exception) -> None:
        """End a project's turn that broke off; what concerns the whole tree ends the run, anything else is its own."""
        if isinstance(error, VolumeFullError) and run.postponed is not None:
            run.postponed.add(task.name)
            await self._take_back(task, run)
            return
        if isinstance(error, PathError):
            try:
                await asyncio.to_thread(self._volume.check_usable)
            except VolumeError as everybodys:
                error = everybodys
        if isinstance(error, VolumeError):
            await self.abort(run, error)
        else:
            run.document.counts.projects_failed += 1
            reason = str(error) if isinstance(error, MirrorError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, MirrorError):
                log.error("project failed", project=task.name, exc_info=error)
            run.note(Failure(project=task.name, reason=reason))
        refreshed = task.action not in (Action.VERIFY, Action.COLLECT)
        await self._take_back(task, run, failed=error if refreshed and isinstance(error, PathError) else None)

    async def _take_back(self, task: Task, run: ActiveRun, *, failed: PathError | None = None) -> None:
        """
        Put a project's turn that broke off out of hand, and right what it had there.

        Args:
            failed: why the project is failing from now on.
        """
        with contextlib.suppress(MirrorError):
            await self._verifier.give_up(task.name, run)
        # Now, not at the next start: the next turn would forget it.
        with contextlib.suppress(Exception):
            await asyncio.to_thread(self._recover, task.name)
        if failed is not None:
            row = self._catalog.projects.get(task.name) or ProjectRow(task.name)
            with contextlib.suppress(StateError):  # the run tells of it all the same
                await asyncio.to_thread(self._catalog.store_row, after_failure(row, failed).row)
        await self._queue.done(task)
        run.task_done()
