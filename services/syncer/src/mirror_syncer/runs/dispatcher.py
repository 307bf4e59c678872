"""The dispatcher: takes tasks from the queue, has workers perform them, and follows them to their group's commit."""

import asyncio
import contextlib
import time

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.errors import (
    AbandonedError,
    MirrorError,
    PathError,
    StateError,
    UnreachableError,
    VolumeError,
    VolumeFullError,
)
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.publish.recovery import recover_project
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.accounting import count_failure, count_outcome
from mirror_syncer.runs.circle import Circle
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.performer import Performer
from mirror_syncer.runs.queue import Action, QueueClosedError, Task
from mirror_syncer.runs.verify.verifier import SliceEndedError, Verifier
from mirror_syncer.work.transfer import Outcome, after_failure

log = structlog.get_logger()

# After this many projects in a row without a response upstream counts as down, and the run ends.
_MAX_UNREACHABLE_IN_A_ROW = 10
_PROJECTS_PER_CONNECTION = 2  # while one is downloaded, another is hashed, written or rendered
_UPSTREAM_ACTIONS = frozenset({Action.REFRESH, Action.SHRINK, Action.UNLIST})


class Dispatcher:
    """Dispatches the tasks of the queue until stopped; one more may be active for a project that a person named."""

    def __init__(self, context: RunContext, verifier: Verifier) -> None:
        self._context = context
        self._catalog = context.catalog
        self._volume = context.volume
        self._queue = context.queue
        self._performer = Performer(context, verifier)
        self._verifier = verifier
        self._max_active = _PROJECTS_PER_CONNECTION * context.settings.connections
        self._active = 0
        self._dispatching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._committing: set[asyncio.Task[None]] = set()
        """Tasks that only wait for their group, which may be visible already: these are never cancelled."""

    def start(self) -> None:
        """Start dispatching."""
        self._dispatching = asyncio.create_task(self._dispatch())

    async def stop(self, *, grace_seconds: float) -> None:
        """Let active tasks finish and cancel those that take longer than the grace; return when all have ended."""
        await self._queue.close()
        if self._dispatching is not None:
            await self._dispatching
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_seconds)
            for task in late - self._committing:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _dispatch(self) -> None:
        """Process each task as soon as the number of active tasks allows."""
        with contextlib.suppress(QueueClosedError):
            while True:
                task = await self._queue.get(least_urgent=self._least_urgent)
                run = self._context.runs.active(task.run_id)
                if run is None:
                    await self._queue.done(task)
                    continue
                self._active += 1
                processing = asyncio.create_task(self._process(task, run))
                self._tasks.add(processing)
                processing.add_done_callback(self._tasks.discard)

    def _least_urgent(self) -> Priority | None:
        if self._active < self._max_active:
            return Priority.BACKLOG
        return Priority.NAMED if self._active == self._max_active else None

    async def _process(self, task: Task, run: ActiveRun) -> None:
        """Process a task; it is done only when its group is committed."""
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        try:
            outcome, committed = await self._perform_and_submit(task, run)
            if committed is not None and (processing := asyncio.current_task()):
                self._committing.add(processing)
                processing.add_done_callback(self._committing.discard)
                await committed
        except SliceEndedError:
            await self._requeue(task, run)
            return
        except AbandonedError:
            await self._discard(task, run)
            return
        except Exception as error:  # noqa: BLE001 - one project must not stop the others
            await self._handle_failure(task, run, error)
            return
        if outcome is not None:
            count_outcome(task, run, outcome, context=self._context)
        if task.action is Action.VERIFY:
            repaired = outcome is not None and not outcome.failures
            self._verifier.record(task.name, run, repaired=repaired)
        if task.action not in (Action.COLLECT, Action.JUDGE):
            run.progress.counts.projects_done += 1
        await self._queue.done(task)
        run.progress.finish_tasks()

    async def _perform_and_submit(
        self, task: Task, run: ActiveRun
    ) -> tuple[Outcome | None, asyncio.Future[None] | None]:
        """Perform a task, and submit its publication: return what became of it, and what ends with its commit."""
        started, committed = time.monotonic(), None
        try:
            outcome = await self._performer.perform(task, run)
            if outcome is not None and outcome.tally.unusable:
                await asyncio.to_thread(self._volume.check_usable)
            if task.action in _UPSTREAM_ACTIONS and outcome is not None:
                await self._record_response(run, outcome, started=started)
            if task.circle is None and outcome is not None:
                committed = await self._context.commit_group.submit(outcome.publication)
        finally:
            self._active -= 1
            await self._queue.wake()
        if task.circle is not None and outcome is not None:  # its members may be more than may be active
            committed = await self._submit_to(task.circle, run, outcome)
        return outcome, committed

    async def _submit_to(self, circle: Circle, run: ActiveRun, outcome: Outcome) -> asyncio.Future[None]:
        """Submit a publication together with those of its circle."""
        row = outcome.row
        return await circle.submit(
            outcome.publication,
            is_whole=row.published and not row.missing_files and row.state is not ProjectState.FAILING,
            unless=lambda: run.is_stopping or self._queue.is_closed,
        )

    async def _record_response(self, run: ActiveRun, outcome: Outcome, *, started: float) -> None:
        """Record whether upstream responded; end the run if upstream is down."""
        run.report.record_response(responded=not outcome.unreachable, started=started, first_failure=outcome.newly)
        if run.report.unreachable_in_a_row >= _MAX_UNREACHABLE_IN_A_ROW:
            await self._abort(run, UnreachableError(f"upstream does not answer: {outcome.row.error}"))

    async def _requeue(self, task: Task, run: ActiveRun) -> None:
        """Put a task back into the queue, so that others run before its next slice."""
        await self._queue.done(task)
        if run.is_stopping:
            await self._verifier.discard(task.name, run)
            run.progress.finish_tasks()
        else:
            await self._queue.put([task])

    async def _handle_failure(self, task: Task, run: ActiveRun, error: Exception) -> None:
        """Fail a project, or the run where the error concerns the whole tree."""
        if isinstance(error, VolumeFullError) and run.sync.postponed is not None:
            run.sync.postponed.add(task.name)
            await self._discard(task, run)
            return
        if isinstance(error, PathError):
            try:
                await asyncio.to_thread(self._volume.check_usable)
            except VolumeError as volume_error:
                error = volume_error
        if isinstance(error, VolumeError):
            await self._abort(run, error)
        else:
            count_failure(run, task.name)
            reason = str(error) if isinstance(error, MirrorError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, MirrorError):
                log.error("project failed", project=task.name, exc_info=error)
            failure = Failure(project=task.name, reason=reason)
            # With dependencies, a project is published in several steps, and may fail in each.
            if failure not in run.report.failures:
                run.report.add(failure)
        is_refresh = task.action not in (Action.VERIFY, Action.COLLECT)
        await self._discard(task, run, error=error if is_refresh and isinstance(error, PathError) else None)

    async def _abort(self, run: ActiveRun, error: Exception) -> None:
        """Let no further task of a run start, because of an error that concerns all of them."""
        if run.error is None:
            run.error = error
            run.progress.finish_tasks(await self._queue.drop(run.id))

    async def _discard(self, task: Task, run: ActiveRun, *, error: PathError | None = None) -> None:
        """
        End a task that failed or was abandoned, and recover its project from what it left.

        Args:
            error: store the project as failing because of it.
        """
        if task.circle is not None:
            await task.circle.leave(task.name)
        with contextlib.suppress(MirrorError):
            await self._verifier.discard(task.name, run)
        # Now rather than at the next start: the project's next task would forget what is pending.
        with contextlib.suppress(Exception):
            await asyncio.to_thread(self._recover, task.name)
        if error is not None:
            row = self._catalog.projects.get(task.name) or ProjectRow(task.name)
            with contextlib.suppress(StateError):  # the run's report has the failure
                await asyncio.to_thread(self._catalog.store_row, after_failure(row, error).row)
        await self._queue.done(task)
        run.progress.finish_tasks()

    def _recover(self, name: NormalizedName) -> None:
        removal = self._context.policy.current.removal
        recover_project(name, catalog=self._catalog, volume=self._volume, removal=removal)
