"""Runs of the kind sync, whether the policy selects projects or the whole index."""

import asyncio

from mirror_contract import RunState
from mirror_syncer.catalog import Fact
from mirror_syncer.metrics import COMPLETE
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.executor import RunExecutor
from mirror_syncer.runs.garbage_collection import Collection
from mirror_syncer.runs.sync.closure_step import ClosureStep
from mirror_syncer.runs.sync.emptied_projects import report_emptied
from mirror_syncer.runs.sync.policy_change import PolicyChange
from mirror_syncer.runs.sync.selection import SelectionSync
from mirror_syncer.runs.sync.whole_index import WholeIndexSync
from mirror_syncer.runs.upstream_change import switched_from, upstream_changed


class Sync(RunExecutor):
    """Syncs by the policy that ``mirror.toml`` states when the run starts."""

    def __init__(self, context: RunContext, collection: Collection, closure_step: ClosureStep) -> None:
        self._context = context
        self._catalog = context.catalog
        self._closure_step = closure_step
        self._policy_change = PolicyChange(context)
        self._selection = SelectionSync(context, collection, closure_step)
        self._whole_index = WholeIndexSync(context, collection, self._policy_change)

    async def execute(self, run: ActiveRun) -> None:
        """Sync the whole index if the policy says so and the request names no projects, else the selection."""
        policy = self._context.policy
        await self._context.reload_policy(run)
        everything = policy.current.everything
        run.sync.policy_digest = policy.digest
        run.sync.serial_bounds = await asyncio.to_thread(self._catalog.serial_bounds, everything=everything)
        if run.is_whole and (old := await asyncio.to_thread(switched_from, self._catalog)):
            run.report.remarks.append(upstream_changed(old, self._catalog.recall(Fact.UPSTREAM) or ""))
        if self._closure_step.follows:
            self._closure_step.begin(run)
        await self._policy_change.apply(run)
        if run.request.projects is None and run.request.offline:
            if self._closure_step.follows:
                await self._selection.publish_known(run)
            await self._publish(run)
        elif run.is_whole and everything:
            await self._whole_index.sync(run)
        else:
            await self._selection.sync(run)
        if run.request.projects is None and not run.is_stopping:
            await report_emptied(run, catalog=self._catalog, policy=policy.current)

    async def _publish(self, run: ActiveRun) -> None:
        """Publish the project list of a run that only applied the policy."""
        counts = run.progress.counts
        if counts.projects_changed or counts.projects_withdrawn:
            with run.progress.phase("publish"):
                await self._context.project_list.publish()

    async def save(self, run: ActiveRun) -> None:
        """Store the counts; what is done is in the catalog's rows."""
        await asyncio.to_thread(self._context.runs.save, run)

    def conclude(self, run: ActiveRun) -> None:
        """Record by which policy a whole sync succeeded, since when removals are withheld, and that it compared all."""
        state = run.document.state
        if not run.is_whole or state is RunState.CANCELLED:
            return
        if state is RunState.SUCCEEDED and run.sync.policy_digest is not None:
            self._catalog.remember(Fact.SYNCED_POLICY, run.sync.policy_digest)
        self._remember_withheld(run)
        if state in COMPLETE:
            self._catalog.remember(Fact.SWITCHED_FROM, "")

    def _remember_withheld(self, run: ActiveRun) -> None:
        """Record since when the deletion guard withholds removals, until a sync ends that withholds none."""
        since = self._catalog.recall(Fact.WITHHELD_SINCE)
        if not run.progress.counts.projects_withheld:
            if since and run.document.state in COMPLETE:
                self._catalog.remember(Fact.WITHHELD_SINCE, "")
        elif not since and run.document.finished_at is not None:
            self._catalog.remember(Fact.WITHHELD_SINCE, str(int(run.document.finished_at.timestamp())))
