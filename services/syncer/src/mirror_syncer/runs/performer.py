"""What a task does: its project's row, the policy and the run's bounds become one job, which a worker performs."""

import asyncio
from collections.abc import Sequence

import structlog

from mirror_contract import Failure
from mirror_syncer.config import fingerprint
from mirror_syncer.model.damage import Damage
from mirror_syncer.model.project import BLOCKED, GONE, UNSELECTED, CatalogUpdate, ProjectRow
from mirror_syncer.publish import Publication
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.garbage_collection import collect
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.verify.verifier import Verifier
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.transfer import Comparison, Outcome, Withdrawal, Work

log = structlog.get_logger()


class Performer:
    """Performs one task after another; what comes of them is published and counted elsewhere."""

    def __init__(self, context: RunContext, verifier: Verifier) -> None:
        self._context = context
        self._catalog = context.catalog
        self._volume = context.volume
        self._workers = context.worker_pool
        self._verifier = verifier

    async def perform(self, task: Task, run: ActiveRun) -> Outcome | None:
        """
        Return what became of a task's project; None: there is nothing to publish.

        Raises:
            SliceEndedError: a verify of a large project pauses, so that others come first.
            AbandonedError: the run was cancelled while it waited for upstream.
            MirrorError: the project failed, or the tree is not usable.
        """
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
