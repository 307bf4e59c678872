"""
A sync of everything: upstream's list says what changed, and the catalog what is to do.

It may take half a second or, the first time, weeks; nothing of it is kept in memory but the two thousand tasks that
wait next. Asked again meanwhile, it reads the list once more, and what changed comes before the backlog. A process that
starts anew goes on from what the catalog says.
"""

import asyncio
import contextlib
from pathlib import Path

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog, Fact, KnownList
from mirror_syncer.config import PolicySource
from mirror_syncer.errors import (
    AbandonedError,
    InvalidPageError,
    MirrorError,
    UpstreamError,
)
from mirror_syncer.metrics import Metrics
from mirror_syncer.model.priority import Priority
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.collection import Collection
from mirror_syncer.runs.feed import Feed
from mirror_syncer.runs.queue import Action, Task, WorkQueue
from mirror_syncer.runs.sync.agenda import DueFeed
from mirror_syncer.runs.sync.guard import RecentRemovals
from mirror_syncer.runs.sync.removals import Removals
from mirror_syncer.runs.sync.upstream_list import UpstreamList
from mirror_syncer.upstream import Index
from mirror_syncer.volume import Volume

_PUBLISH_SECONDS = 300.0  # of a long sync, the project list is published so often


class WholeIndexSync:
    """
    Syncs all that upstream lists.

    Args:
        origin: the upstream that the list is of.
        directory: where the list lies while it is read.
    """

    def __init__(
        self,
        *,
        origin: str,
        directory: Path,
        policy: PolicySource,
        catalog: Catalog,
        index: Index,
        queue: WorkQueue,
        feed: Feed,
        project_list: ProjectList,
        collection: Collection,
        volume: Volume,
        taken: RecentRemovals,
        metrics: Metrics,
    ) -> None:
        self._collection = collection
        self._volume = volume
        self._policy = policy
        self._catalog = catalog
        self._queue = queue
        self._feed = feed
        self._list = project_list
        self._upstream = UpstreamList(origin=origin, directory=directory, catalog=catalog, index=index)
        self._removals = Removals(
            policy=policy, catalog=catalog, queue=queue, feed=feed, project_list=project_list, taken=taken
        )
        self._agenda = DueFeed(policy=policy, catalog=catalog, queue=queue, feed=feed, metrics=metrics)

    async def sync(self, run: ActiveRun) -> None:
        """
        Do all that there is to do, the list read once more as often as somebody asks; return when all is done.

        Raises:
            UpstreamError, InvalidPageError: the first list could not be read; a later failure is only noted.
            AbandonedError: the run was cancelled while the first list was waited for.
        """
        run.follows_list = run.rereads = True
        if not await asyncio.to_thread(self._catalog.projects.any_published):
            await asyncio.to_thread(self._catalog.remember, Fact.FULLY_APPLIED_POLICY, self._policy.digest)
        ended = asyncio.Event()
        publisher = asyncio.create_task(self._publish_now_and_then(ended))
        try:
            with run.phase("plan"):
                lacking = await self._read_first(run)
                # What is newest now may change once more under the same serial: the next sync looks at it again.
                known = await asyncio.to_thread(self._catalog.listing.last)
            while True:
                with run.phase("withdraw"):
                    leaving = await self._removals.withdraw(run)
                with run.phase("plan"):
                    asked_after = await self._removals.ask_after(run, anew=lacking)
                with run.phase("collect"):
                    await self._collect(run)
                    if await asyncio.to_thread(self._volume.is_full):
                        await self._make_room(run)
                with run.phase("plan"):
                    await self._agenda.announce(run, leaving=leaving, asked_after=asked_after)
                with run.phase("transfer"):
                    await self._agenda.feed(run)
                if not run.reread or run.over:
                    break
                with run.phase("plan"):
                    lacking = await self._read_again(run)
                if not self._policy.current.everything:
                    break  # the rest is another run's
            # From here on a wish is a run of its own; what was wished up to here was heard.
            run.rereads = False
            with run.phase("transfer"):
                await run.idle()
            with run.phase("withdraw"):
                await self._removals.withdraw(run)
                await run.idle()
        finally:
            run.rereads = False
            ended.set()
            await publisher
        with run.phase("publish"):
            await self._list.publish(accept_reset=run.request.force)
        with run.phase("collect"):
            await self._collect(run)
            await run.idle()
        counts = run.document.counts
        if not run.over:
            counts.projects_planned = counts.projects_done
        if not run.over and self._policy.current.everything:
            await asyncio.to_thread(self._remember, known, asked_after=run.asked_after)

    def _remember(self, known: KnownList | None, *, asked_after: int | None) -> None:
        """Remember that all was looked at by the policy in force, and by the list that was known at the start."""
        if asked_after is not None:
            self._catalog.remember(Fact.CHECKED_ABSENCES_OF, str(asked_after))
        self._catalog.remember(Fact.FULLY_APPLIED_POLICY, self._policy.digest)
        if known is not None and known.newest is not None:
            self._catalog.remember(Fact.SYNC_START_SERIAL, str(known.newest))

    async def _read(self, run: ActiveRun) -> bool:
        """Read the list, by which pages are judged from then on; results and errors as in ``UpstreamList.read``."""
        lacking = await self._upstream.read(run)
        run.bounds = await asyncio.to_thread(self._catalog.serial_bounds, everything=True)
        return lacking

    async def _read_first(self, run: ActiveRun) -> bool:
        """Read the list; without one nothing is to do but to remove files whose time has come, which needs none."""
        try:
            return await self._read(run)
        except (UpstreamError, InvalidPageError):
            with run.phase("collect"):
                await self._collect(run)
                await run.idle()
            raise

    async def _read_again(self, run: ActiveRun) -> bool:
        """
        Read policy and list while the workers have enough to do; return whether it is the first to lack some project.

        What can't be had is told, and changes nothing.
        """
        run.reread = False
        run.note(*(Failure(reason=reason) for reason in await asyncio.to_thread(self._policy.reload)))
        run.policy_digest = self._policy.digest
        try:
            return await self._read(run)
        except (UpstreamError, InvalidPageError) as error:
            run.note(Failure(reason=str(error)))
            return False
        except AbandonedError:
            return False  # what was published is still to be listed

    async def _make_room(self, run: ActiveRun) -> None:
        """Wait for what leaves, and remove its files: whatever wants room would end the run before that."""
        await run.idle()
        await self._collect(run)
        await run.idle()

    async def _collect(self, run: ActiveRun) -> None:
        """Remove files whose time has come: it may be what makes room."""
        due = await self._collection.due()
        at_hand = self._queue.names()
        tasks = [Task(run.id, name, Action.COLLECT, Priority.CHANGED) for name in due if name not in at_hand]
        await self._feed.put(run, tasks)

    async def _publish_now_and_then(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _PUBLISH_SECONDS)
                return
            with contextlib.suppress(MirrorError):  # the run's end publishes again, and tells
                await self._list.publish()
