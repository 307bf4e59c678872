"""What leaves because upstream has it no more: by a newer list, a 404, a page that lost files."""

import asyncio

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.catalog.listing import CONFIRMED_ABSENT
from mirror_syncer.config import PolicySource
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import GONE
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.feed import Feed
from mirror_syncer.runs.queue import Action, Task, WorkQueue
from mirror_syncer.runs.sync.guard import RecentRemovals

log = structlog.get_logger()

_FORGOTTEN_AT_ONCE = 1_000
_ASKED_AFTER_MOST = 1_000  # PyPI loses some 300 projects a day; a list that lacks more is for the guard to judge


class Removals:
    """Takes out what is gone, as far as the deletion guard allows."""

    def __init__(
        self,
        *,
        policy: PolicySource,
        catalog: Catalog,
        queue: WorkQueue,
        feed: Feed,
        project_list: ProjectList,
        taken: RecentRemovals,
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._queue = queue
        self._feed = feed
        self._list = project_list
        self._taken = taken

    async def withdraw(self, run: ActiveRun) -> int:
        """
        Withdraw what is gone, let shrink what lost files, and return how many projects that are.

        All of them, or none where that is, with what was taken within a day, more than the guard allows. What its page
        says to be quarantined after all stays: the page may never have been had since the list lacks it.
        """
        known = await asyncio.to_thread(self._catalog.listing.last)
        if known is None or run.over:
            return 0
        due, counts = self._catalog.due, run.document.counts
        while names := await asyncio.to_thread(
            due.absent, edition=known.edition, published=False, limit=_FORGOTTEN_AT_ONCE
        ):
            await asyncio.to_thread(self._catalog.projects.forget, names)
        counts.projects_withheld = 0
        gone = await asyncio.to_thread(due.count_absent, edition=known.edition)
        removals = gone + await asyncio.to_thread(due.count_shrinking)
        if not removals:
            return 0
        told = run.allow_removals is not None
        lately = set[NormalizedName]() if told else await asyncio.to_thread(self._taken.lately)
        allowed = await self._allowed(run)
        at_hand, shrinking = self._queue.names(), list[NormalizedName]()
        if removals <= allowed + len(at_hand):
            names = await asyncio.to_thread(due.absent, edition=known.edition, published=True, limit=gone)
            names = [name for name in names if name not in at_hand]
            shrinking = [name for name in await asyncio.to_thread(due.shrinking) if name not in at_hand]
            removals = len(names) + len(shrinking)
        if removals and max(removals, len(lately.union(names, shrinking))) > allowed:
            counts.projects_withheld = removals
            log.warning("removals are withheld", projects=removals, allowed=allowed)
            return 0
        if not told:
            await asyncio.to_thread(self._taken.note, (*names, *shrinking))
        if run.request.allow_removals is None:
            run.allow_removals = None  # what a person allowed meanwhile was for once
        if names:
            # Removal goes the other way round: the list before the page, the page before its files.
            await self._list.publish_without(names)
        said = set(await asyncio.to_thread(due.absent, edition=CONFIRMED_ABSENT + 1, published=True, limit=gone))
        actions = {name: Action.WITHDRAW if name in said else Action.UNLIST for name in names}
        await self._feed.put(
            run, [Task(run.id, name, action, Priority.CHANGED, reason=GONE) for name, action in actions.items()]
        )
        await self._feed.put(run, [Task(run.id, name, Action.SHRINK, Priority.CHANGED) for name in shrinking])
        return removals

    async def ask_after(self, run: ActiveRun, *, anew: bool) -> int:
        """
        Ask for the pages of what the last lists are the first to lack, and return how many that are.

        Those that a run before has seen through are left out, however it ended that read them.

        PyPI does not list what it quarantined, and says so on the page alone; that and a 404 are believed at once. A
        page that is there changes nothing: the next list decides. A quarantined page stays for as long as it says so.

        Args:
            anew: the last list is the first to lack some, though its serial may not tell.
        """
        known = await asyncio.to_thread(self._catalog.listing.last)
        if known is None:
            return 0
        due, at_hand = self._catalog.due, self._queue.names()
        asked = int(await asyncio.to_thread(self._catalog.recall, Fact.CHECKED_ABSENCES_OF) or 0)
        run.asked_after = known.edition
        if not anew and asked == known.edition:
            return 0
        since = min(asked + 1, known.edition)
        before = await asyncio.to_thread(due.count_absent, edition=since)
        absent = await asyncio.to_thread(due.count_absent, edition=known.edition + 1)
        if absent > _ASKED_AFTER_MOST:
            return 0
        past = await asyncio.to_thread(due.absent, edition=since, published=True, limit=before)
        names = await asyncio.to_thread(due.absent, edition=known.edition + 1, published=True, limit=absent)
        names = [name for name in names if name not in at_hand.union(past)]
        await self._feed.put(run, [Task(run.id, name, Action.REFRESH, Priority.CHANGED) for name in names])
        return len(names)

    async def _allowed(self, run: ActiveRun) -> int:
        """Return how many projects may be removed, those of a day together."""
        if run.allow_removals is not None:
            return run.allow_removals
        return self._policy.current.removal.allowed(await asyncio.to_thread(self._taken.of_how_many))
