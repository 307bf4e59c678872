"""The dispatcher: takes tasks from the queue, has workers perform them, and follows them to their group's commit."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState, RunChange
from mirror_syncer.config import fingerprint
from mirror_syncer.errors import (
    AbandonedError,
    MirrorError,
    PathError,
    StateError,
    UnreachableError,
    VolumeError,
    VolumeFullError,
)
from mirror_syncer.model.damage import Damage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import BLOCKED, GONE, UNSELECTED, CatalogUpdate, ProjectRow
from mirror_syncer.publish import Publication
from mirror_syncer.publish.recovery import recover_project
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.circle import Circle
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.garbage_collection import collect
from mirror_syncer.runs.queue import Action, QueueClosedError, Task
from mirror_syncer.runs.verify.verifier import SliceEndedError, Verifier
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.transfer import Comparison, Outcome, Withdrawal, Work, after_failure

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
        self._workers = context.worker_pool
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
            self._count(task, run, outcome)
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
            outcome = await self._perform(task, run)
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

    async def _perform(self, task: Task, run: ActiveRun) -> Outcome | None:
        if task.action is Action.COLLECT:
            await self._collect(task, run)
            return None
        # In the event loop's thread: reading SQLite's cache takes 30 µs, the hop to another thread and back 100.
        row = self._catalog.projects.get(task.name)
        match task.action:
            case Action.REFRESH | Action.SHRINK | Action.UNLIST | Action.JUDGE | Action.PUBLISH:
                return await self._refresh(task, run, row, force=run.request.force)
            case Action.WITHDRAW:
                return await self._withdraw(task, run, row or ProjectRow(task.name))
            case Action.VERIFY:
                return await self._verify(task, run, row)

    async def _withdraw(self, task: Task, run: ActiveRun, row: ProjectRow) -> Outcome:
        blocked = self._context.policy.current.blocked_names.reason(task.name)
        if blocked is not None:
            return await self._workers.perform(Withdrawal(row, f"{BLOCKED}: {blocked}", grace=None))
        reason = task.reason or (GONE if task.name in run.sync.gone else UNSELECTED)
        return await self._workers.perform(Withdrawal(row, reason, self._context.grace_seconds))

    async def _collect(self, task: Task, run: ActiveRun) -> None:
        collected = await asyncio.to_thread(
            collect,
            task.name,
            catalog=self._catalog,
            volume=self._volume,
            generations=self._context.generations,
        )
        run.progress.counts.files_removed += collected.files
        run.progress.counts.bytes_removed += collected.bytes
        if collected.failures:
            await asyncio.to_thread(self._volume.check_usable)
            # A sync collects twice, and may fail at the same file both times.
            run.report.add(*(failure for failure in collected.failures if failure not in run.report.failures))

    async def _refresh(
        self, task: Task, run: ActiveRun, row: ProjectRow | None, *, force: bool, damages: Sequence[Damage] = ()
    ) -> Outcome:
        policy = self._context.policy.current
        project_policy = policy.project(task.name)
        if project_policy is None:
            failure = Failure(project=task.name, reason=f"{UNSELECTED}, so nothing is downloaded")
            return Outcome(Publication(CatalogUpdate(row or ProjectRow(task.name))), (failure,))
        work = Work(
            task.name,
            task.priority,
            row,
            project_policy,
            policy.serve,
            self._context.grace_seconds,
            fingerprint(project_policy, legacy_json=policy.serve.legacy_json),
            wanted_serial=task.wanted_serial,
            bounds=run.sync.serial_bounds,
            offline=run.request.offline or task.action in (Action.JUDGE, Action.PUBLISH),
            force=force,
            shrink=task.action is Action.SHRINK,
            defers=run.sync.defers or task.action is Action.VERIFY,
            retains=run.sync.retains or task.action is Action.VERIFY,
            unlisted=task.action is Action.UNLIST,
            damaged=frozenset(damage.place for damage in damages),
            disputed=frozenset(damage.place for damage in damages if damage.reason == "differs"),
        )
        async with run.upstream_wait():
            return await self._workers.perform(work)

    async def _verify(self, task: Task, run: ActiveRun, row: ProjectRow | None) -> Outcome | None:
        result = await self._verifier.inspect(task, run, row)
        if result.damages:
            await asyncio.to_thread(self._volume.check_present)  # on a disk that was unmounted every file is missing
        if run.request.upstream:
            result = await self._compare(task, run, result)
        if not (result.damages and run.request.repair):
            return None
        log.warning("repairing", project=task.name, files=[damage.what for damage in result.damages])
        row = self._catalog.projects.get(task.name)
        return await self._refresh(task, run, row, force=True, damages=result.damages)

    async def _compare(self, task: Task, run: ActiveRun, result: InspectionResult) -> InspectionResult:
        """Compare an inspected project with upstream, if it is published and selected."""
        row, policy = self._catalog.projects.get(task.name), self._context.policy.current
        project_policy = policy.project(task.name)
        if row is None or not row.published or project_policy is None:
            return result
        by = fingerprint(project_policy, legacy_json=policy.serve.legacy_json)
        job = Comparison(row, project_policy, by, task.priority)
        async with run.upstream_wait():
            return self._verifier.add_comparison(task.name, run, await self._workers.compare(job))

    async def _requeue(self, task: Task, run: ActiveRun) -> None:
        """Put a task back into the queue, so that others run before its next slice."""
        await self._queue.done(task)
        if run.is_stopping:
            await self._verifier.discard(task.name, run)
            run.progress.finish_tasks()
        else:
            await self._queue.put([task])

    def _count(self, task: Task, run: ActiveRun, outcome: Outcome) -> None:
        """Count the outcome of a task; failures that an earlier task of the project reported are not repeated."""
        counts, row, tally = run.progress.counts, outcome.row, outcome.tally
        again = task.action in (Action.SHRINK, Action.JUDGE) or task.name in run.sync.failed_judgements
        if task.action is Action.JUDGE and outcome.failures:
            run.sync.failed_judgements.add(task.name)
        known = run.report.failures if again else ()
        failures = [failure for failure in outcome.failures if failure not in known]
        if repeated := bool(outcome.failures) and not failures:
            tally.failures.clear()
        run.sync.upstream_news = run.sync.upstream_news or outcome.news
        counts.projects_changed += outcome.publication.staged is not None
        if outcome.publication.staged is not None or outcome.publication.withdrawn:
            self._context.project_list.mark_changed()
            run.report.add_change(
                RunChange(
                    project=row.name,
                    newest_version=row.newest_version,
                    files_fetched=tally.fetched,
                    withdrawn=outcome.publication.withdrawn,
                )
            )
        counts.projects_partial += row.state is ProjectState.PARTIAL and not repeated
        # A page that is older than the list says is behind, which is no failure.
        if failures and row.state in (ProjectState.FAILING, ProjectState.BEHIND):
            _count_failure(run, task.name)
        if outcome.page_failed:
            run.sync.failed_requests.pages[row.name] = row.error or "its page failed before"
        if outcome.gone and not run.sync.whole_index:
            run.sync.gone.append(row.name)
        counts.projects_withdrawn += outcome.publication.withdrawn
        counts.files_fetched += tally.fetched
        counts.files_failed += len(tally.failures)
        counts.bytes_fetched += tally.fetched_bytes
        self._context.metrics.count_transfers(tally)
        if outcome.altered:
            self._context.metrics.count_damage("altered")
        run.report.add(*failures)

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
            _count_failure(run, task.name)
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


def _count_failure(run: ActiveRun, name: NormalizedName) -> None:
    """Count a project as failed, once in a run."""
    run.progress.counts.projects_failed += name not in run.sync.failed_projects
    run.sync.failed_projects.add(name)
