"""Removals of what upstream has deleted: absent from a newer list, answered with 404, or missing from a page."""

import asyncio

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Fact
from mirror_syncer.catalog.listing import CONFIRMED_ABSENT
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import GONE, UNSELECTED
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.report import MAX_DOCUMENT_WITHHELD
from mirror_syncer.runs.sync.guard import DeletionGuard

log = structlog.get_logger()

_FORGET_BATCH = 1_000
_MAX_INQUIRIES = 1_000  # PyPI loses some 300 projects a day; more are for the deletion guard to judge


class Removals:
    """Removes what upstream has deleted, as far as the deletion guard allows."""

    def __init__(self, context: RunContext) -> None:
        self._policy = context.policy
        self._catalog = context.catalog
        self._queue = context.queue
        self._feed = context.feed
        self._project_list = context.project_list
        self._guard = DeletionGuard(context.catalog)

    async def withdraw(self, run: ActiveRun) -> int:
        """
        Withdraw deleted projects, remove deleted files of others, and return how many projects that affects.

        Either all of it or nothing: nothing if that, with the removals of the last day, is more than the guard allows.
        A project stays if its page says that it is quarantined: that may not have been read since it left the list.
        """
        known = await asyncio.to_thread(self._catalog.listing.last)
        if known is None or run.is_stopping:
            return 0
        due, counts = self._catalog.due, run.progress.counts
        while names := await asyncio.to_thread(due.absent, edition=known.edition, published=False, limit=_FORGET_BATCH):
            await asyncio.to_thread(self._catalog.projects.forget, names)
        counts.projects_withheld = 0
        run.report.name_withheld(())
        gone = await asyncio.to_thread(due.count_absent, edition=known.edition)
        removals = gone + await asyncio.to_thread(due.count_shrinking)
        if not removals:
            return 0
        overridden = run.sync.allow_removals is not None
        allowed = await self._allowed(run)
        queued, shrinking = self._queue.names(), list[NormalizedName]()
        if removals <= allowed + len(queued):
            names = await asyncio.to_thread(due.absent, edition=known.edition, published=True, limit=gone)
            names = [name for name in names if name not in queued]
            shrinking = [name for name in await asyncio.to_thread(due.shrinking) if name not in queued]
            removals = len(names) + len(shrinking)
        leaving = (*names, *shrinking)
        if removals > allowed or await asyncio.to_thread(
            self._guard.withholds, leaving, allowed=allowed, overridden=overridden
        ):
            counts.projects_withheld = removals
            run.report.name_withheld(leaving or await asyncio.to_thread(self._first_leaving, known.edition))
            log.warning("removals are withheld", projects=removals, allowed=allowed)
            return 0
        if not overridden:
            await asyncio.to_thread(self._guard.record, leaving)
        if run.request.allow_removals is None:
            run.sync.allow_removals = None  # a later request's permission is valid once
        if names:
            # Removal goes in reverse: the list before the page, the page before its files.
            await self._project_list.publish_without(names)
        confirmed = set(await asyncio.to_thread(due.absent, edition=CONFIRMED_ABSENT + 1, published=True, limit=gone))
        policy = self._policy.current
        actions = {
            name: Action.WITHDRAW if name in confirmed or policy.project(name) is None else Action.UNLIST
            for name in names
        }
        await self._feed.put(
            run,
            [
                Task(run.id, name, action, Priority.CHANGED, reason=self._reason(name))
                for name, action in actions.items()
            ],
        )
        await self._feed.put(run, [Task(run.id, name, Action.SHRINK, Priority.CHANGED) for name in shrinking])
        return removals

    async def inquire(self, run: ActiveRun, *, list_changed: bool) -> int:
        """
        Refresh the projects that the latest lists were the first to omit, and return how many that are.

        PyPI omits quarantined projects from its list, and only their pages say why; such a page and a 404 are believed
        at once. Any other page changes nothing: the next list decides. Projects of earlier lists are left out once a
        sync has refreshed them all.

        Args:
            list_changed: the latest list omits some for the first time, though its serial may not have changed.
        """
        known = await asyncio.to_thread(self._catalog.listing.last)
        if known is None:
            return 0
        due, queued = self._catalog.due, self._queue.names()
        asked = int(await asyncio.to_thread(self._catalog.recall, Fact.CHECKED_ABSENCES_OF) or 0)
        if not list_changed and asked == known.edition:
            return 0
        since = min(asked + 1, known.edition)
        before = await asyncio.to_thread(due.count_absent, edition=since)
        absent = await asyncio.to_thread(due.count_absent, edition=known.edition + 1)
        if absent > _MAX_INQUIRIES:
            return 0
        past = await asyncio.to_thread(due.absent, edition=since, published=True, limit=before)
        names = await asyncio.to_thread(due.absent, edition=known.edition + 1, published=True, limit=absent)
        policy = self._policy.current
        names = [name for name in names if name not in queued.union(past) and policy.project(name) is not None]
        await self._feed.put(run, [Task(run.id, name, Action.REFRESH, Priority.CHANGED) for name in names])
        return len(names)

    def _first_leaving(self, edition: int) -> list[NormalizedName]:
        """Return the first of more removals than the guard allows."""
        due = self._catalog.due
        return [*due.absent(edition=edition, published=True, limit=MAX_DOCUMENT_WITHHELD), *due.shrinking()]

    def _reason(self, name: NormalizedName) -> str:
        return GONE if self._policy.current.project(name) is not None else UNSELECTED

    async def _allowed(self, run: ActiveRun) -> int:
        """Return how many projects may be removed per day."""
        if run.sync.allow_removals is not None:
            return run.sync.allow_removals
        return self._policy.current.removal.allowed(await asyncio.to_thread(self._guard.count_guarded))
