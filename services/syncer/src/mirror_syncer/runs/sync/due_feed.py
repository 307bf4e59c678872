"""The agenda of a sync of the whole index: changes, then retries and re-checks, then the backlog."""

import asyncio
import time
from collections.abc import Iterator

import structlog

from mirror_syncer.catalog import Fact, KnownList
from mirror_syncer.catalog.due import DueProject
from mirror_syncer.config import Policy, fingerprint
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task

log = structlog.get_logger()

_LOW_TASKS = 1_000  # time to queue the next page of a thousand rows
_MIN_DOUBTED = 3  # projects; one or two are accidents

Pages = Iterator[list[DueProject]]


class DueFeed:
    """Queues the projects that are due by the catalog, a thousand rows at a time."""

    def __init__(self, context: RunContext) -> None:
        self._policy = context.policy
        self._catalog = context.catalog
        self._queue = context.queue
        self._feed = context.feed
        self._metrics = context.metrics

    async def announce(self, run: ActiveRun, *, leaving: int, inquiries: int) -> None:
        """Count what there is to do, and log it."""
        known = await asyncio.to_thread(self._catalog.listing.last)
        amounts = await asyncio.to_thread(
            self._catalog.due.amounts, now=int(time.time()), first=known.first if known else 0
        )
        total = amounts.total
        started = _started(run)
        if known is not None and known.unnumbered:
            total += await asyncio.to_thread(self._catalog.due.count_unnumbered, before=started)
        if (tick := await asyncio.to_thread(self._tick)) is not None:
            total += await asyncio.to_thread(self._catalog.due.count_latest, tick=tick, before=started)
        if run.request.force:
            total = await asyncio.to_thread(self._catalog.due.count_listed)
        total += await asyncio.to_thread(self._catalog.due.count_quarantined, before=started)
        total += inquiries
        counts = run.progress.counts
        counts.projects_planned = counts.projects_done + leaving + total
        keep = await asyncio.to_thread(self._catalog.due.count_listed) - total
        withheld = counts.projects_withheld
        numbers = {"refresh": total, "withdraw": leaving, "keep": max(0, keep), "withheld": withheld}
        self._metrics.show_plan(numbers)
        log.info("plan", **numbers, changed=amounts.changed, new=amounts.new, retry=amounts.retried)

    async def feed(self, run: ActiveRun) -> None:
        """Queue tasks as the workers need them; return when all are done, or when the list is to be read again."""
        known = await asyncio.to_thread(self._catalog.listing.last)
        for priority, pages in self._sources(run, known):
            while not _interrupted(run):
                page = await asyncio.to_thread(next, pages, None)
                if page is None:
                    break
                # A project is not skipped while its files are collected or judged: its refresh comes right after.
                queued = self._queue.names(excluding=(Action.COLLECT, Action.JUDGE))
                first = known.first if known else 0
                tasks = [
                    # A project that is newer than the first list is a change, although it was never refreshed.
                    Task(
                        run.id,
                        due.name,
                        Action.REFRESH,
                        _priority(priority, due, first=first),
                        wanted_serial=due.wanted,
                    )
                    for due in page
                    if due.name not in queued
                ]
                await self._feed.put(run, tasks)
                await run.progress.wait_for_tasks(_LOW_TASKS, unless=lambda: run.sync.reread_list)
        if not _interrupted(run):
            await run.progress.wait_for_tasks(unless=lambda: _interrupted(run))

    def _sources(self, run: ActiveRun, known: KnownList | None) -> Iterator[tuple[Priority, Pages]]:
        due, started, now = self._catalog.due, _started(run), int(time.time())
        # Lists omit quarantined projects, so only the page shows when one is deleted.
        yield Priority.RECHECK, due.quarantined(before=started)
        if run.request.force:
            yield Priority.BACKLOG, due.everything(before=started)
            return
        if (tick := self._tick()) is not None:
            # First, since a project that is refreshed now counts as checked within the same second.
            yield Priority.CHANGED, due.latest(tick=tick, before=started)
        yield Priority.CHANGED, due.changed()
        yield Priority.RETRY, due.retried(now=now)
        if self._catalog.recall(Fact.FULLY_APPLIED_POLICY) != self._policy.digest:
            yield Priority.RECHECK, self._other_fingerprints(self._policy.current)
        if known is not None and known.unnumbered:
            yield Priority.RECHECK, due.unnumbered(before=started)
        if self._doubts_all_serials():
            yield Priority.RECHECK, due.everything(before=started)
        else:
            yield Priority.RECHECK, due.doubted(before=started)
        yield Priority.BACKLOG, due.new()

    def _tick(self) -> int | None:
        """
        Return the newest serial when the last sync started, or None if none is known.

        A serial may be a date or a constant: projects with the newest one may have changed without getting another. If
        serials count changes, that is a single project.
        """
        return int(newest) if (newest := self._catalog.recall(Fact.SYNC_START_SERIAL)) else None

    def _doubts_all_serials(self) -> bool:
        """Return whether content changed without a new serial so often that no serial is believed."""
        if not (doubted := self._catalog.due.count_doubted()):
            return False
        listed = self._catalog.due.count_listed()
        return doubted >= max(min(_MIN_DOUBTED, listed), listed // 100)

    def _other_fingerprints(self, policy: Policy) -> Pages:
        """Yield projects that were published by another policy than the one in force."""
        legacy_json = policy.serve.legacy_json
        special = {name: policy.project(name) for name in policy.special}
        named = {name: one and fingerprint(one, legacy_json=legacy_json) for name, one in special.items()}
        default = fingerprint(policy.usual, legacy_json=legacy_json)
        for page in self._catalog.due.fingerprints():
            yield [due for due, by in page if by != named.get(due.name, default)]


def _started(run: ActiveRun) -> int:
    started = run.document.started_at
    return int(time.time() if started is None else started.timestamp())


def _interrupted(run: ActiveRun) -> bool:
    return run.is_stopping or run.sync.reread_list


def _priority(priority: Priority, due: DueProject, *, first: int) -> Priority:
    return Priority.CHANGED if priority is Priority.BACKLOG and (due.wanted or 0) > first else priority
