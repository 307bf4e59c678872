"""What is looked at, and in which order: changes, then what is due again, then the backlog."""

import asyncio
import time
from collections.abc import Iterator

import structlog

from mirror_syncer.catalog import Catalog, Fact, KnownList
from mirror_syncer.catalog.due import DueProject
from mirror_syncer.config import Policy, PolicySource, fingerprint
from mirror_syncer.metrics import Metrics
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import LOW_TASK_COUNT, ActiveRun
from mirror_syncer.runs.feed import Feed
from mirror_syncer.runs.queue import Action, Task, WorkQueue

log = structlog.get_logger()

_DOUBTED_FEW = 3  # projects; one or two are a mishap of theirs

Pages = Iterator[list[DueProject]]


class DueFeed:
    """Asks the catalog what is to be looked at, a thousand rows at a time."""

    def __init__(
        self, *, policy: PolicySource, catalog: Catalog, queue: WorkQueue, feed: Feed, metrics: Metrics
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._queue = queue
        self._feed = feed
        self._metrics = metrics

    async def announce(self, run: ActiveRun, *, leaving: int, asked_after: int) -> None:
        """Count what is to do, and tell of it: what leaves and what is asked after included."""
        known = await asyncio.to_thread(self._catalog.listing.last)
        amounts = await asyncio.to_thread(
            self._catalog.due.amounts, now=int(time.time()), first=known.first if known else 0
        )
        total = amounts.total
        began = _began(run)
        if known is not None and known.unnumbered:
            total += await asyncio.to_thread(self._catalog.due.count_unnumbered, before=began)
        if (tick := await asyncio.to_thread(self._tick)) is not None:
            total += await asyncio.to_thread(self._catalog.due.count_latest, tick=tick, before=began)
        if run.request.force:
            total = await asyncio.to_thread(self._catalog.due.count_listed)
        total += await asyncio.to_thread(self._catalog.due.count_quarantined, before=began)
        total += asked_after
        counts = run.document.counts
        counts.projects_planned = counts.projects_done + leaving + total
        keep = await asyncio.to_thread(self._catalog.due.count_listed) - total
        withheld = counts.projects_withheld
        numbers = {"refresh": total, "withdraw": leaving, "keep": max(0, keep), "withheld": withheld}
        self._metrics.show_plan(numbers)
        log.info("plan", **numbers, changed=amounts.changed, new=amounts.new, retry=amounts.retried)

    async def feed(self, run: ActiveRun) -> None:
        """Put tasks into the queue as the workers need them; return when all are done, or the list is to be read."""
        known = await asyncio.to_thread(self._catalog.listing.last)
        for priority, pages in self._sources(run, known):
            while not run.over and not run.reread:
                page = await asyncio.to_thread(next, pages, None)
                if page is None:
                    break
                # Files that leave are no reason to pass a project over: its page is looked at right after that.
                at_hand = self._queue.names(without=Action.COLLECT)
                first = known.first if known else 0
                tasks = [
                    # What came after the first list is news, although it was never looked at.
                    Task(run.id, due.name, Action.REFRESH, _priority(priority, due, first=first), wanted=due.wanted)
                    for due in page
                    if due.name not in at_hand
                ]
                await self._feed.put(run, tasks)
                await _stirred(run, until_drained=False)
        while not run.over and not run.reread and run.left > 0:
            await _stirred(run, until_drained=True)

    def _sources(self, run: ActiveRun, known: KnownList | None) -> Iterator[tuple[Priority, Pages]]:
        due, began, now = self._catalog.due, _began(run), int(time.time())
        # No list tells when one of these is deleted.
        yield Priority.RECHECK, due.quarantined(before=began)
        if run.request.force:
            yield Priority.BACKLOG, due.everything(before=began)
            return
        if (tick := self._tick()) is not None:
            # First, since what is looked at now counts as looked at within the same second.
            yield Priority.CHANGED, due.latest(tick=tick, before=began)
        yield Priority.CHANGED, due.changed()
        yield Priority.RETRY, due.retried(now=now)
        if self._catalog.recall(Fact.FULLY_APPLIED_POLICY) != self._policy.digest:
            yield Priority.RECHECK, self._unlike(self._policy.current)
        if known is not None and known.unnumbered:
            yield Priority.RECHECK, due.unnumbered(before=began)
        if self._distrusts():
            yield Priority.RECHECK, due.everything(before=began)
        else:
            yield Priority.RECHECK, due.doubted(before=began)
        yield Priority.BACKLOG, due.new()

    def _tick(self) -> int | None:
        """
        Return the newest serial when the last sync began; None where none is known.

        A serial may be a day's or a constant: what had the newest one may have changed since without another. Of a
        counter of changes that is one project.
        """
        return int(said) if (said := self._catalog.recall(Fact.SYNC_START_SERIAL)) else None

    def _distrusts(self) -> bool:
        """Return whether so many serials have stood still while content changed that none is worth a look."""
        if not (doubted := self._catalog.due.count_doubted()):
            return False
        listed = self._catalog.due.count_listed()
        return doubted >= max(min(_DOUBTED_FEW, listed), listed // 100)

    def _unlike(self, policy: Policy) -> Pages:
        """Yield what was published by another policy than is in force."""
        others = {name: fingerprint(selection, serve=policy.serve) for name, selection in policy.projects.items()}
        usual = fingerprint(policy.usual, serve=policy.serve)
        for page in self._catalog.due.fingerprints():
            yield [due for due, by in page if by != others.get(due.name, usual)]


def _began(run: ActiveRun) -> int:
    began = run.document.started_at
    return int(time.time() if began is None else began.timestamp())


def _priority(priority: Priority, due: DueProject, *, first: int) -> Priority:
    return Priority.CHANGED if priority is Priority.BACKLOG and (due.wanted or 0) > first else priority


async def _stirred(run: ActiveRun, *, until_drained: bool) -> None:
    """Wait until few of a run's tasks are left, or none; or it is to read the list once more."""
    few = 0 if until_drained else LOW_TASK_COUNT
    while run.left > few and not run.reread:
        run.stirred.clear()
        if run.left > few and not run.reread:
            await run.stirred.wait()
