"""
The maturity of held files: they are published when their time has come, within a minute and without asking upstream.

It is not a run: it waits in the background for the earliest time in the catalog.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from itertools import islice

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Fact
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task

log = structlog.get_logger()

_IDLE_SECONDS = 20.0  # a time that is stored meanwhile is seen after so long; a page is due within 60
_PAUSE_SECONDS = 300.0  # after a failure
_BATCH = 1_000


class Maturity:
    """
    Judges pages again whose decision has expired.

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
        self._catalog = context.catalog
        self._project_list = context.project_list
        self._runs = context.runs
        self._queue = context.queue
        self._policy = context.policy
        self._clock = clock
        self._sleep = sleep
        self._retries: dict[NormalizedName, float] = {}
        """When projects are judged again that could not be judged before."""

    async def run(self) -> None:
        """Publish what has matured until cancelled; after a failure, pause and retry."""
        while True:
            try:
                # A paused schedule pauses everything that starts automatically.
                names = [] if self._catalog.recall(Fact.PAUSED) else await asyncio.to_thread(self._expired)
                if names:
                    await self._judge(names)
                pause = await asyncio.to_thread(self._pause, names)
            except Exception:
                log.exception("maturity failed")
                pause = _PAUSE_SECONDS
            await self._sleep(pause)

    def _expired(self) -> list[NormalizedName]:
        now = self._clock()
        due = (one.name for page in self._catalog.due.expired(now=int(now)) for one in page)
        return list(islice((name for name in due if self._retries.get(name, now) <= now), _BATCH))

    def _pause(self, judged: Collection[NormalizedName]) -> float:
        """Return the seconds until the next decision expires; what was judged in vain waits for a while."""
        now, expiry = self._clock(), self._catalog.due.next_expiry()
        self._retries = {name: at for name, at in self._retries.items() if at > now}
        if expiry is None or expiry <= now:
            if judged:
                self._retries |= dict.fromkeys(judged, now + _PAUSE_SECONDS)
                return 1.0  # others may have expired
            return _IDLE_SECONDS
        return min(_IDLE_SECONDS, max(1.0, expiry - now))

    async def _judge(self, names: list[NormalizedName]) -> None:
        """Judge pages again, and publish the project list if any of them changed."""
        run = ActiveRun(_document())
        run.sync.serial_bounds = await asyncio.to_thread(
            self._catalog.serial_bounds, everything=self._policy.current.everything
        )
        self._runs.background[run.id] = run
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        queued = self._queue.names(excluding=(Action.COLLECT,))
        tasks = [Task(run.id, name, Action.JUDGE, Priority.NAMED) for name in names if name not in queued]
        try:
            run.progress.add_tasks(len(tasks))
            await self._queue.put(tasks)
            await run.progress.wait_for_tasks()
            counts = run.progress.counts
            log.info("decisions expired", projects=len(tasks), changed=counts.projects_changed)
            if counts.projects_changed:
                await self._project_list.publish()
        finally:
            run.report.log.summarize()


def _document() -> Run:
    return Run(
        id="maturity",
        request=RunRequest(kind=RunKind.SYNC, offline=True),
        trigger=Trigger.COOLDOWN,
        state=RunState.RUNNING,
        created_at=datetime.now(UTC),
    )
