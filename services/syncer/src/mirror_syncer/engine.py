"""
The engine: takes runs from the book, plans them, works the queue, and publishes.

Every run's projects go through one queue, so a person's `sync requests` overtakes a first sync of everything. One whole
sync is under way at a time; runs that name projects go beside it.
"""

import asyncio
from collections.abc import Iterable

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure, RunKind, RunState
from mirror_syncer.catalog import Catalog
from mirror_syncer.collection import collect
from mirror_syncer.errors import MirrorError
from mirror_syncer.metrics import Metrics
from mirror_syncer.planning import Plan, Priority, plan_sync
from mirror_syncer.policy import PolicySource
from mirror_syncer.publish import CommitGroup, ProjectList
from mirror_syncer.runs import ActiveRun, Runs
from mirror_syncer.volume import Volume
from mirror_syncer.workers import Workers
from mirror_syncer.workqueue import Action, Task, WorkQueue

log = structlog.get_logger()

SYNCED_POLICY = "synced_policy"  # the catalog's key for the policy that the last whole success was by
_PROGRESS_SECONDS = 10.0


class Engine:
    """
    Works until stopped.

    Args:
        grace_seconds: how long ``stop`` lets current projects finish.
    """

    def __init__(
        self,
        *,
        policy: PolicySource,
        catalog: Catalog,
        volume: Volume,
        runs: Runs,
        queue: WorkQueue,
        workers: Workers,
        group: CommitGroup,
        project_list: ProjectList,
        metrics: Metrics,
        grace_seconds: float = 60,
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._volume = volume
        self._runs = runs
        self._queue = queue
        self._workers = workers
        self._group = group
        self._list = project_list
        self._metrics = metrics
        self._grace_seconds = grace_seconds
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """
        Work until ``stop``.

        Cancelled, it leaves what ``stop`` leaves, and does not wait for current projects.
        """
        committer = asyncio.create_task(self._group.run())
        executions: set[asyncio.Task[None]] = set()
        self._workers.start()
        try:
            while not self._stopping.is_set():
                self._runs.asked.clear()
                for run in self._runs.waiting():
                    if run.request.projects is not None or not self._whole_under_way():
                        self._runs.start(run)
                        executions.add(execution := asyncio.create_task(self._execute(run)))
                        execution.add_done_callback(executions.discard)
                await self._runs.asked.wait()
        finally:
            await self._workers.stop(grace_seconds=self._grace_seconds if self._stopping.is_set() else 0)
            await _cancel([*executions, committer])
            for run in self._runs.running():
                self._runs.save(run)

    def stop(self, *, grace_seconds: float | None = None) -> None:
        """Finish the current projects within their grace, begin no other; the runs go on after the next start."""
        if grace_seconds is not None:
            self._grace_seconds = grace_seconds
        self._stopping.set()
        self._runs.asked.set()

    async def cancel(self, run: ActiveRun) -> None:
        """Let a run end after its current projects."""
        run.cancelled = True
        if run.document.state is RunState.QUEUED:
            self._runs.end(run, RunState.CANCELLED, message="cancelled before it began")
        else:
            run.task_done(await self._queue.drop(run.id))

    def _whole_under_way(self) -> bool:
        return any(run.request.projects is None for run in self._runs.running())

    async def _execute(self, run: ActiveRun) -> None:
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        progress = asyncio.create_task(self._report(run))
        try:
            match run.request.kind:
                case RunKind.SYNC:
                    await self._sync(run)
                case RunKind.VERIFY:
                    await self._verify(run)
            run.document.counts.files_removed += await asyncio.to_thread(
                collect, catalog=self._catalog, volume=self._volume
            )
        except MirrorError as error:
            run.fatal = run.fatal or error
        finally:
            await _cancel([progress])
        self._finish(run)

    async def _sync(self, run: ActiveRun) -> None:
        await asyncio.to_thread(self._volume.check)
        rows = await asyncio.to_thread(lambda: {row.name: row for row in self._catalog.projects.every()})
        began = run.document.started_at
        if run.request.projects is None:
            await asyncio.to_thread(self._policy.reload)
        plan = plan_sync(
            self._policy.current,
            rows,
            only=_names(run),
            allow_removals=run.request.allow_removals,
            since=int(began.timestamp()) if run.resumed and began else None,
        )
        self._announce(run, plan)
        if plan.withdraw:
            # Removal goes the other way round: the list before the page, the page before its files.
            await self._list.publish(without=frozenset(plan.withdraw))
        withdrawals = (Task(run.id, name, Action.WITHDRAW, Priority.CHANGED) for name in plan.withdraw)
        refreshes = (Task(run.id, step.name, Action.REFRESH, step.priority) for step in plan.refresh)
        await self._drain(run, [*withdrawals, *refreshes])
        await self._list.publish()

    async def _verify(self, run: ActiveRun) -> None:
        await asyncio.to_thread(self._volume.check)
        published = await asyncio.to_thread(lambda: [r.name for r in self._catalog.projects.every() if r.published])
        only = _names(run)
        names = [name for name in published if only is None or name in only]
        priority = Priority.BACKLOG if only is None else Priority.NAMED
        run.document.counts.projects_planned = len(names)
        log.info("plan", verify=len(names))
        await self._drain(run, [Task(run.id, name, Action.VERIFY, priority) for name in names])

    def _announce(self, run: ActiveRun, plan: Plan) -> None:
        counts = run.document.counts
        counts.projects_planned = len(plan.refresh) + len(plan.withdraw) + len(plan.keep)
        counts.projects_done = len(plan.keep)
        counts.projects_withheld = len(plan.withheld)
        numbers = {
            "refresh": len(plan.refresh),
            "withdraw": len(plan.withdraw),
            "keep": len(plan.keep),
            "withheld": len(plan.withheld),
        }
        if run.request.projects is None:
            for action, number in numbers.items():
                self._metrics.plan.labels(action).set(number)
        log.info("plan", **numbers)
        for name in plan.unselected:
            run.note(Failure(project=name, reason="not selected; name it in mirror.toml, then sync it"))
            counts.projects_failed += 1

    async def _drain(self, run: ActiveRun, tasks: list[Task]) -> None:
        run.expect(len(tasks))
        await self._queue.put(tasks)
        await run.drained.wait()

    def _finish(self, run: ActiveRun) -> None:
        state, message = _outcome(run)
        kind, document = run.request.kind, run.document
        self._runs.end(run, state, message=message)
        self._metrics.runs.labels(kind, state).inc()
        seconds = 0.0
        if document.started_at and document.finished_at:
            seconds = (document.finished_at - document.started_at).total_seconds()
        self._metrics.run_duration.labels(kind).set(seconds)
        if run.request.projects is None:
            self._metrics.last_attempt.labels(kind).set_to_current_time()
            if state is RunState.SUCCEEDED and kind is RunKind.SYNC:
                self._catalog.remember(SYNCED_POLICY, self._policy.digest)
            if state is RunState.SUCCEEDED:
                self._metrics.last_success.labels(kind).set_to_current_time()
        say = log.error if state is RunState.FAILED else log.info
        numbers = {key: value for key, value in document.counts.model_dump().items() if value}
        say("run ended", state=state, seconds=round(seconds, 1), **numbers, **({"why": message} if message else {}))

    async def _report(self, run: ActiveRun) -> None:
        """Keep a run's progress, and tell of it."""
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            counts = run.document.counts
            await asyncio.to_thread(self._runs.save, run)
            log.info(
                "progress",
                done=counts.projects_done,
                of=counts.projects_planned,
                files=counts.files_fetched or counts.files_verified,
                bytes=counts.bytes_fetched,
            )


def _names(run: ActiveRun) -> tuple[NormalizedName, ...] | None:
    return None if run.request.projects is None else tuple(NormalizedName(name) for name in run.request.projects)


def _outcome(run: ActiveRun) -> tuple[RunState, str | None]:
    counts = run.document.counts
    if run.cancelled:
        return RunState.CANCELLED, f"cancelled after {counts.projects_done} of {counts.projects_planned} projects"
    if run.fatal is not None:
        return RunState.FAILED, str(run.fatal)
    if run.unreachable and run.unreachable == counts.projects_done:
        return RunState.FAILED, f"upstream does not answer: {run.document.failures[0].reason}"
    parts = []
    if counts.projects_failed:
        parts.append(f"{counts.projects_failed} project(s) could not be refreshed")
    if counts.projects_partial:
        parts.append(f"{counts.projects_partial} project(s) lack files that could not be had")
    if counts.projects_withheld:
        parts.append(
            f"{counts.projects_withheld} removals are withheld by the deletion guard; if they are meant: "
            f"mirror-syncer sync --allow-removals {counts.projects_withheld}"
        )
    if run.noted and not parts:
        parts.append(f"{run.noted} failure(s), the first: {run.document.failures[0].reason}")
    return (RunState.INCOMPLETE, "; ".join(parts)) if parts else (RunState.SUCCEEDED, None)


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
