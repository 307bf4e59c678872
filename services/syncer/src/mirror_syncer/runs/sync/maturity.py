"""
The maturity of held files: they are published when their time has come, within a minute and without asking upstream.

It is not a run: it waits in the background for the earliest time in the catalog.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
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

_IDLE_SECONDS = 20.0  # a time that is stored meanwhile is seen after at most this; a page is due within 60
_PAUSE_SECONDS = 300.0  # after a failure
_BATCH = 1_000


class Maturity:
    """
    Judges pages again whose decision has expired.

    Args:
        clock: the time, in seconds since the epoch.
        sleep: waits for a number of seconds.
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
        """When to retry projects whose judgement failed."""
        self._judging = set[NormalizedName]()
        self._batches = set[asyncio.Task[None]]()
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """Publish what has matured until cancelled; after a failure, pause and retry."""
        try:
            while True:
                try:
                    pause = await self._round()
                except Exception:
                    log.exception("publishing files after their cooldown failed; retrying in 5 minutes")
                    pause = _PAUSE_SECONDS
                await self._sleep(pause)
        finally:
            for batch in self._batches:
                batch.cancel()
            await asyncio.gather(*self._batches, return_exceptions=True)

    async def _round(self) -> float:
        """Judge what has expired; return the seconds until the next decision expires."""
        # A paused schedule pauses everything that starts automatically.
        if not self._catalog.recall(Fact.PAUSED) and (names := await asyncio.to_thread(self._expired)):
            batch = asyncio.create_task(self._judge(names))
            self._batches.add(batch)
            batch.add_done_callback(self._batches.discard)
            # A project with gigabytes to download does not stop the others.
            await asyncio.wait([batch], timeout=_IDLE_SECONDS)
            return 1.0  # others may have expired meanwhile
        return await asyncio.to_thread(self._pause)

    def _expired(self) -> list[NormalizedName]:
        """Return the projects to judge, without those that are in work, or whose retry is not due."""
        now = self._clock()
        # Nothing waits longer than it should, even if the clock was set back.
        self._retries = {name: at for name, at in self._retries.items() if now < at <= now + _PAUSE_SECONDS}
        others = self._judging | self._queue.active_names() | self._retries.keys()
        due = (one.name for page in self._catalog.due.expired(now=int(now)) for one in page)
        return list(islice((name for name in due if name not in others), _BATCH))

    def _pause(self) -> float:
        now, expiry = self._clock(), self._catalog.due.next_expiry()
        if expiry is None or expiry <= now:
            return _IDLE_SECONDS
        return min(_IDLE_SECONDS, max(1.0, expiry - now))

    async def _judge(self, names: list[NormalizedName]) -> None:
        """Judge pages again, and publish the project list if any of them changed."""
        run = ActiveRun(_document(next(self._numbers)))
        run.sync.serial_bounds = await asyncio.to_thread(
            self._catalog.serial_bounds, everything=self._policy.current.everything
        )
        run.sync.postponed = set()  # a full disk stops only what has to be downloaded
        self._runs.background[run.id] = run
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        self._judging.update(names)
        try:
            run.progress.add_tasks(len(names))
            await self._queue.put(Task(run.id, name, Action.JUDGE, Priority.NAMED) for name in names)
            await run.progress.wait_for_tasks()
            counts = run.progress.counts
            log.info("decisions expired", projects=len(names), changed=counts.projects_changed)
            if counts.projects_changed:
                await self._project_list.publish()
        except Exception:
            log.exception("publishing files after their cooldown failed; retrying in 5 minutes")
        finally:
            self._judging.difference_update(names)
            left = await asyncio.to_thread(self._expired)
            self._retries |= dict.fromkeys(set(names).intersection(left), self._clock() + _PAUSE_SECONDS)
            self._runs.background.pop(run.id, None)
            run.report.log.summarize()


def _document(number: int) -> Run:
    return Run(
        id=f"maturity-{number}",
        request=RunRequest(kind=RunKind.SYNC, offline=True),
        trigger=Trigger.COOLDOWN,
        state=RunState.RUNNING,
        created_at=datetime.now(UTC),
    )
