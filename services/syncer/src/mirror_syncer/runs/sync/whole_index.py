"""
A sync of the whole index: upstream's list says what changed, and the catalog says what is due.

It may take half a second or, the first time, weeks; memory holds only the next two thousand tasks. When a whole sync is
requested meanwhile, it reads the list again, and changes come before the backlog. After a restart it continues from
what the catalog says.
"""

import asyncio
import contextlib

from mirror_contract import Failure
from mirror_syncer.catalog import Fact, KnownList
from mirror_syncer.errors import (
    AbandonedError,
    InvalidPageError,
    MirrorError,
    UpstreamError,
)
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.garbage_collection import Collection
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.sync.due_feed import DueFeed
from mirror_syncer.runs.sync.policy_change import PolicyChange
from mirror_syncer.runs.sync.removals import Removals
from mirror_syncer.runs.sync.upstream_list import UpstreamList

_PUBLISH_SECONDS = 300.0  # between two publications of the project list during a long sync


class WholeIndexSync:
    """Syncs all projects that upstream lists."""

    def __init__(self, context: RunContext, collection: Collection, policy_change: PolicyChange) -> None:
        self._context = context
        self._policy = context.policy
        self._catalog = context.catalog
        self._project_list = context.project_list
        self._collection = collection
        self._policy_change = policy_change
        self._upstream_list = UpstreamList(context)
        self._removals = Removals(context)
        self._agenda = DueFeed(context)

    async def sync(self, run: ActiveRun) -> None:
        """
        Do all that is due; read the list again whenever a whole sync is requested meanwhile.

        Raises:
            UpstreamError, InvalidPageError: the first list could not be read; a later failure is only reported.
            AbandonedError: the run was cancelled while it waited for the first list.
        """
        run.sync.whole_index = run.sync.can_reread_list = True
        if not await asyncio.to_thread(self._catalog.projects.any_published):
            await asyncio.to_thread(self._catalog.remember, Fact.FULLY_APPLIED_POLICY, self._policy.digest)
        ended = asyncio.Event()
        publisher = asyncio.create_task(self._publish_periodically(ended))
        progress = run.progress
        try:
            with progress.phase("plan"):
                omits = await self._read_first(run)
                # A project with the newest serial may change again under that serial: the next sync refreshes it.
                known = await asyncio.to_thread(self._catalog.listing.last)
            while True:
                with progress.phase("withdraw"):
                    leaving = await self._removals.withdraw(run)
                with progress.phase("plan"):
                    inquiries = await self._removals.inquire(run, list_changed=omits)
                    inquired = await asyncio.to_thread(self._catalog.listing.last)
                with progress.phase("collect"):
                    await self._collect(run)
                    if await asyncio.to_thread(self._context.volume.is_full):
                        await self._free_space(run)
                with progress.phase("plan"):
                    await self._agenda.announce(run, leaving=leaving, inquiries=inquiries)
                with progress.phase("transfer"):
                    await self._agenda.feed(run)
                if not run.sync.reread_list or run.is_stopping:
                    break
                with progress.phase("plan"):
                    omits = await self._read_again(run)
                if not self._policy.current.everything:
                    break  # the next run syncs the selection
            # From here on a request becomes a run of its own; the list was read for all earlier ones.
            run.sync.can_reread_list = False
            with progress.phase("transfer"):
                await progress.wait_for_tasks()
            with progress.phase("withdraw"):
                await self._removals.withdraw(run)
                await progress.wait_for_tasks()
        finally:
            run.sync.can_reread_list = False
            ended.set()
            await publisher
        with progress.phase("publish"):
            await self._project_list.publish(accept_reset=run.request.force)
        await self._collect_completely(run)
        if run.is_stopping:
            return
        progress.counts.projects_planned = progress.counts.projects_done
        if self._policy.current.everything:
            await asyncio.to_thread(self._remember, known, inquired)

    def _remember(self, known: KnownList | None, inquired: KnownList | None) -> None:
        """
        Record that all projects were compared with the policy in force.

        Args:
            known: the list when the sync started.
            inquired: the list whose omitted projects were refreshed.
        """
        if inquired is not None:
            self._catalog.remember(Fact.CHECKED_ABSENCES_OF, str(inquired.edition))
        self._catalog.remember(Fact.FULLY_APPLIED_POLICY, self._policy.digest)
        if known is not None and known.newest is not None:
            self._catalog.remember(Fact.SYNC_START_SERIAL, str(known.newest))

    async def _read(self, run: ActiveRun) -> bool:
        """Read the list, and which of its serials are believed; results and errors as in ``UpstreamList.read``."""
        omits = await self._upstream_list.read(run)
        run.sync.serial_bounds = await asyncio.to_thread(self._catalog.serial_bounds, everything=True)
        return omits

    async def _read_first(self, run: ActiveRun) -> bool:
        """Read the list; without it, only remove due files, which needs no list."""
        try:
            return await self._read(run)
        except (UpstreamError, InvalidPageError):
            await self._collect_completely(run)
            raise

    async def _read_again(self, run: ActiveRun) -> bool:
        """
        Read policy and list again while the workers are busy; results as in ``UpstreamList.read``.

        A failure is reported, and what was read before stays in force.
        """
        run.sync.reread_list = False
        await self._context.reload_policy(run)
        run.sync.policy_digest = self._policy.digest
        await self._policy_change.apply(run)
        try:
            return await self._read(run)
        except (UpstreamError, InvalidPageError) as error:
            run.report.add(Failure(reason=str(error)))
            return False
        except AbandonedError:
            return False  # what was published must still be listed

    async def _free_space(self, run: ActiveRun) -> None:
        """Wait for the removals, then collect their files: any project that needs space would end the run before."""
        await run.progress.wait_for_tasks()
        await self._collect(run)
        await run.progress.wait_for_tasks()

    async def _collect_completely(self, run: ActiveRun) -> None:
        with run.progress.phase("collect"):
            await self._collect(run)
            await run.progress.wait_for_tasks()

    async def _collect(self, run: ActiveRun) -> None:
        """Queue the removal of due files, which may free the space that the rest needs."""
        due = await self._collection.due_projects()
        queued = self._context.queue.names()
        tasks = [Task(run.id, name, Action.COLLECT, Priority.CHANGED) for name in due if name not in queued]
        await self._context.feed.put(run, tasks)

    async def _publish_periodically(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _PUBLISH_SECONDS)
                return
            with contextlib.suppress(MirrorError):  # the end of the run publishes again, and reports a failure
                await self._project_list.publish()
