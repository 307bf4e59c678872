"""
The weekly look at each project, for what moves no serial: archiving, roles, a page that was written anew.

It is no run: it goes on in the background, slowly, and after a restart from what the catalog says.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from mirror_contract import Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Catalog, DueProject, Fact
from mirror_syncer.config import PolicySource
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun, Runs
from mirror_syncer.runs.queue import Action, Task, WorkQueue

log = structlog.get_logger()

EVERY_SECONDS = 7 * 86_400
PACE_SECONDS = 0.5  # two requests a second: PyPI's 890,000 projects in five days
_IDLE_SECONDS = 60.0
_PAUSE_SECONDS = 600.0  # after an outage
_AT_ONCE = 10  # that wait or are under way: behind a busy queue it does not pile up


class Recheck:
    """
    Has each listed project looked at weekly, with scope everything.

    Args:
        clock: the time, in seconds since the epoch.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        *,
        policy: PolicySource,
        catalog: Catalog,
        runs: Runs,
        queue: WorkQueue,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._runs = runs
        self._queue = queue
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Go on until cancelled; an outage, or a disk that says no, is waited out."""
        while True:
            try:
                pause = await self._round() if self._wanted() else _IDLE_SECONDS
            except Exception:
                log.exception("re-check failed")
                pause = _PAUSE_SECONDS
            await self._sleep(pause)

    async def _round(self) -> float:
        """Have all that is due looked at; return how long to rest."""
        pages = self._catalog.due.stale(before=int(self._clock()) - EVERY_SECONDS)
        run = self._runs.background = ActiveRun(_document())
        run.bounds = await asyncio.to_thread(self._catalog.serial_bounds, everything=True)
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        try:
            while self._wanted() and (page := await asyncio.to_thread(next, pages, None)):
                for due in page:
                    if run.fatal is not None:
                        log.warning("re-check pauses", why=str(run.fatal))
                        return _PAUSE_SECONDS
                    await self._look(run, due)
                    run.failure_log.sum_up_again()
            await run.idle()
        finally:
            run.failure_log.sum_up()
        return _IDLE_SECONDS

    def _wanted(self) -> bool:
        # A pause of the schedule is a pause of all that comes by itself.
        return self._policy.current.everything and not self._catalog.recall(Fact.PAUSED)

    async def _look(self, run: ActiveRun, due: DueProject) -> None:
        if due.name in self._queue.names():
            return  # it is looked at anyway
        run.expect(1)
        await self._queue.put([Task(run.id, due.name, Action.REFRESH, Priority.RECHECK, wanted=due.wanted)])
        await self._sleep(PACE_SECONDS)
        if run.left >= _AT_ONCE:
            await run.idle()


def _document() -> Run:
    return Run(
        id="recheck",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.SCHEDULE,
        state=RunState.RUNNING,
        created_at=datetime.now(UTC),
    )
