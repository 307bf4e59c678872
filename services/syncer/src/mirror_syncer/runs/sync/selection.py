"""
A sync of the selection, or of the projects that a person named.

It asks upstream for each project's page; upstream's list does not matter.
"""

import asyncio
from collections.abc import Collection, Iterable

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.config import fingerprint
from mirror_syncer.errors import AbandonedError, LimitExceededError
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import GONE, ProjectRow
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.garbage_collection import Collection as GarbageCollection
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.sync.closure_step import ClosureStep
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.runs.sync.plan import Plan, Step, plan_sync

log = structlog.get_logger()


class SelectionSync:
    """Syncs what ``mirror.toml`` selects, all of it or some."""

    def __init__(self, context: RunContext, collection: GarbageCollection, closure_step: ClosureStep) -> None:
        self._policy = context.policy
        self._catalog = context.catalog
        self._volume = context.volume
        self._metrics = context.metrics
        self._feed = context.feed
        self._project_list = context.project_list
        self._collection = collection
        self._closure_step = closure_step
        self._guard = DeletionGuard(context.catalog)

    async def sync(self, run: ActiveRun) -> None:
        """
        Refresh what is selected and what that needs, and withdraw the rest and what upstream has deleted.

        Cancelled, it leaves tasks in the queue.

        Raises:
            VolumeError: the list cannot be written, or the catalog cannot be read.
        """
        if self._closure_step.follows:
            plan = await self._sync_with_dependencies(run)
        else:
            plan = await self._announced_plan(run)
            # First, because it may free the space that the rest needs.
            await self._withdraw(run, plan)
            await self._refresh_all(run, plan)
        with run.progress.phase("withdraw"):
            await self._remove_deleted(run, allowed=plan.allowance)
        if self._closure_step.follows:
            await self._report_dependencies(run)
        counts = run.progress.counts
        # A named project that did not change is no reason to write the list of a first sync of the whole index.
        if run.is_whole or counts.projects_changed or counts.projects_withdrawn:
            with run.progress.phase("publish"):
                await self._project_list.publish(accept_reset=run.request.force and run.is_whole)
        await self._collection.collect(run)

    async def publish_known(self, run: ActiveRun) -> None:
        """Publish what the closure in force needs, without asking upstream for a page."""
        await self._closure_step.publish(run, counted=self._followed())
        await self._closure_step.settle(run)
        self._closure_step.report(run)

    async def _sync_with_dependencies(self, run: ActiveRun) -> Plan:
        """
        Sync the selected projects and what they need; return the plan, which was carried out as far as possible.

        Where the policy has changed, all that follows from it alone is done first, so that it also happens while
        upstream is down.
        """
        if run.is_whole and await self._closure_step.resolve_offline(run):
            self._closure_step.begin(run)
            await self._apply_closure(run, await self._plan(run), counted=self._followed())
        self._closure_step.begin(run)
        plan = await self._announced_plan(run)
        if not run.sync.retains:  # the disk is full
            await self._withdraw(run, plan)
        await self._refresh_all(run, plan)
        try:
            if not run.is_stopping:
                await self._closure_step.resolve(run, force=run.request.force)
                with run.progress.phase("plan"):
                    resolved = await self._plan(run)
                counted = {*plan.keep, *(step.name for step in plan.refresh)}
                run.progress.counts.projects_withheld = len(resolved.withheld)
                run.report.name_withheld(resolved.withheld)
                await self._apply_closure(run, resolved, counted=counted)
                return resolved
        except AbandonedError:  # cancelled
            pass
        except LimitExceededError as error:
            run.error = run.error or error
        return plan

    async def _apply_closure(self, run: ActiveRun, plan: Plan, *, counted: Collection[NormalizedName]) -> None:
        """Publish what the closure in force needs; then let what it does not need leave."""
        await self._closure_step.publish(run, counted=counted)
        if run.is_stopping:
            return
        # Once all is published, less may be wanted than before.
        with run.progress.phase("withdraw"):
            await self._unlist(plan)
        run.progress.counts.projects_planned += len(plan.withdraw)
        await self._closure_step.settle(run, withdraw=plan.withdraw)
        await self._collect(run, plan)

    async def _report_dependencies(self, run: ActiveRun) -> None:
        """Report what the closure does not meet, also because upstream has deleted it meanwhile."""
        if run.sync.gone and not run.is_stopping:
            try:
                await self._closure_step.resolve(run)
                await self._closure_step.publish(run, counted=self._followed())
            except AbandonedError:  # cancelled
                pass
            except LimitExceededError as error:
                run.error = run.error or error
        if not run.is_stopping:
            self._closure_step.report(run)

    def _followed(self) -> Collection[NormalizedName]:
        """Return the projects of the closure in force."""
        closure = self._policy.current.closure
        return () if closure is None else closure.projects.keys()

    async def _announced_plan(self, run: ActiveRun) -> Plan:
        with run.progress.phase("plan"):
            plan = await self._plan(run)
            self._announce(run, plan)
        return plan

    async def _withdraw(self, run: ActiveRun, plan: Plan) -> None:
        """Withdraw what is no longer selected."""
        with run.progress.phase("withdraw"):
            await self._unlist(plan)
            tasks = (Task(run.id, name, Action.WITHDRAW, Priority.CHANGED) for name in plan.withdraw)
            await self._feed.run_to_completion(run, tasks)
        await self._collect(run, plan)

    async def _unlist(self, plan: Plan) -> None:
        """Take projects off the project list: removal goes in reverse, list before page before files."""
        if plan.withdraw:
            await self._project_list.publish_without(plan.withdraw)

    async def _collect(self, run: ActiveRun, plan: Plan) -> None:
        """Delete files after their grace period, and forget what was never published and is no longer selected."""
        await self._collection.collect(run)
        if plan.forget and not run.is_stopping:
            await asyncio.to_thread(self._catalog.projects.forget, plan.forget)

    async def _refresh_all(self, run: ActiveRun, plan: Plan) -> None:
        """Refresh projects; on a full disk, first those that may need less space by now."""
        first = await asyncio.to_thread(self._steps_that_free_space, plan.refresh)
        if first:
            with run.progress.phase("transfer"):
                postponed = await self._free_space(run, first)
            await self._collection.collect(run)
            first = [step for step in first if step.name not in postponed]
        with run.progress.phase("transfer"):
            await self._refresh(run, [step for step in plan.refresh if step not in first])

    async def _refresh(self, run: ActiveRun, steps: Iterable[Step]) -> None:
        tasks = (Task(run.id, step.name, Action.REFRESH, step.priority) for step in steps)
        await self._feed.run_to_completion(run, tasks)

    async def _free_space(self, run: ActiveRun, steps: Iterable[Step]) -> set[NormalizedName]:
        """Refresh projects that may need less space by now; return those that need more, to be refreshed later."""
        run.sync.postponed = postponed = set[NormalizedName]()
        await self._refresh(run, steps)
        run.sync.postponed = None
        return postponed

    def _steps_that_free_space(self, steps: Iterable[Step]) -> list[Step]:
        """
        Return which projects come first on a full disk: those that were published by another policy.

        The new policy may keep fewer of their files. Any other project with a file to download would end the run.
        """
        if not self._volume.is_full():
            return []
        policy, projects = self._policy.current, self._catalog.projects
        published = {row.name: row.fingerprint for row in projects.all_rows() if row.published}
        current = {
            step.name: fingerprint(project_policy, legacy_json=policy.serve.legacy_json)
            for step in steps
            if step.name in published and (project_policy := policy.project(step.name)) is not None
        }
        return [step for step in steps if step.name in current and published[step.name] != current[step.name]]

    async def _plan(self, run: ActiveRun) -> Plan:
        started, names = run.document.started_at, _names(run)
        rows, published = await asyncio.to_thread(self._read_rows, names)
        return plan_sync(
            self._policy.current,
            rows,
            only=names,
            allow_removals=run.request.allow_removals,
            since=int(started.timestamp()) if run.resumed and started else None,
            published=published,
            replaceable=self._policy.replaceable,
        )

    def _read_rows(self, names: tuple[NormalizedName, ...] | None) -> tuple[dict[NormalizedName, ProjectRow], int]:
        """Return the rows of these projects, or of all, and how many projects the guard's share refers to."""
        projects = self._catalog.projects
        found = projects.all_rows() if names is None else filter(None, map(projects.get, names))
        return {row.name: row for row in found}, self._guard.count_guarded()

    def _announce(self, run: ActiveRun, plan: Plan) -> None:
        counts = run.progress.counts
        # What follows from the policy alone may have been done, and counted.
        withdrawn_later = self._closure_step.follows and run.sync.retains
        counts.projects_planned += len(plan.refresh) + len(plan.keep) + (0 if withdrawn_later else len(plan.withdraw))
        counts.projects_done += len(plan.keep)
        counts.projects_withheld = len(plan.withheld)
        run.report.name_withheld(plan.withheld)
        numbers = {
            "refresh": len(plan.refresh),
            "withdraw": len(plan.withdraw),
            "keep": len(plan.keep),
            "withheld": len(plan.withheld),
        }
        if run.is_whole:
            self._metrics.show_plan(numbers)
        log.info("plan", **numbers)
        for name in plan.unselected:
            run.report.add(Failure(project=name, reason="not selected; name it in mirror.toml, then sync it"))
            counts.projects_failed += 1

    async def _remove_deleted(self, run: ActiveRun, *, allowed: int) -> None:
        """
        Withdraw the projects that upstream has deleted, and remove the files that it has deleted from others.

        Either all of it or nothing: nothing if that, with the removals of the last day, is more than the deletion guard
        allows.
        """
        counts, gone = run.progress.counts, tuple(run.sync.gone)
        shrinking = [name for name in await asyncio.to_thread(self._catalog.due.shrinking) if run.covers(name)]
        names = {*gone, *shrinking}
        overridden = run.request.allow_removals is not None
        if await asyncio.to_thread(self._guard.withholds, names, allowed=allowed, overridden=overridden):
            counts.projects_withheld += len(names)
            run.report.name_withheld((*map(NormalizedName, run.document.withheld), *sorted(names)))
        elif names and not run.is_stopping:
            if not overridden:
                await asyncio.to_thread(self._guard.record, names)
            counts.projects_planned += len(names)
            run.report.add(*(Failure(project=name, reason=GONE) for name in gone))
            if gone:
                await self._project_list.publish_without(gone)
            withdrawals = (Task(run.id, name, Action.WITHDRAW, Priority.CHANGED) for name in gone)
            await self._feed.run_to_completion(run, withdrawals)
            removals = (Task(run.id, name, Action.SHRINK, run.priority) for name in shrinking)
            await self._feed.run_to_completion(run, removals)


def _names(run: ActiveRun) -> tuple[NormalizedName, ...] | None:
    return None if run.request.projects is None else tuple(NormalizedName(name) for name in run.request.projects)
