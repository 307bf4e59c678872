"""
The weekly re-check of each project, for changes without a new serial: archiving, roles, a regenerated page.

It is not a run: it continues slowly in the background, and after a restart from the times in the catalog.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from mirror_contract import Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import DueProject, Fact
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task

log = structlog.get_logger()

EVERY_SECONDS = 7 * 86_400
PACE_SECONDS = 0.5  # two requests a second: PyPI's 890,000 projects in five days
_IDLE_SECONDS = 60.0
_PAUSE_SECONDS = 600.0  # after an outage
_MAX_TASKS = 10  # so that they do not pile up behind a busy queue


class Recheck:
    """
    Refreshes each listed project weekly, with scope ``everything``.

    Args:
        clock: the time, in seconds since the epoch.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        context: RunContext,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._policy = context.policy
        self._catalog = context.catalog
        self._runs = context.runs
        self._queue = context.queue
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Re-check projects until cancelled; after an outage or a failure of the disk, pause and retry."""
        while True:
            try:
                pause = await self._round() if self._enabled() else _IDLE_SECONDS
            except Exception:
                log.exception("re-check failed")
                pause = _PAUSE_SECONDS
            await self._sleep(pause)

    async def _round(self) -> float:
        """Re-check all due projects; return how many seconds to pause."""
        pages = self._catalog.due.stale(before=int(self._clock()) - EVERY_SECONDS)
        run = ActiveRun(_document())
        self._runs.background[run.id] = run
        run.sync.serial_bounds = await asyncio.to_thread(self._catalog.serial_bounds, everything=True)
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        try:
            while self._enabled() and (page := await asyncio.to_thread(next, pages, None)):
                for due in page:
                    if run.error is not None:
                        log.warning("re-check pauses", why=str(run.error))
                        return _PAUSE_SECONDS
                    await self._refresh(run, due)
                    run.report.log.summarize_periodically()
            await run.progress.wait_for_tasks()
        finally:
            run.report.log.summarize()
        return _IDLE_SECONDS

    def _enabled(self) -> bool:
        # A paused schedule pauses everything that starts automatically.
        return self._policy.current.everything and not self._catalog.recall(Fact.PAUSED)

    async def _refresh(self, run: ActiveRun, due: DueProject) -> None:
        if due.name in self._queue.names():
            return  # it is refreshed anyway
        run.progress.add_tasks()
        await self._queue.put([Task(run.id, due.name, Action.REFRESH, Priority.RECHECK, wanted_serial=due.wanted)])
        await self._sleep(PACE_SECONDS)
        if run.progress.tasks_left >= _MAX_TASKS:
            await run.progress.wait_for_tasks()


def _document() -> Run:
    return Run(
        id="recheck",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.SCHEDULE,
        state=RunState.RUNNING,
        created_at=datetime.now(UTC),
    )
