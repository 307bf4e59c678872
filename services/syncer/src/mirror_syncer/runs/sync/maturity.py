"""
The maturity of held files: they are published when their time has come, within a minute and without asking upstream.

It waits in the background for the earliest time in the catalog.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import islice

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.errors import MirrorError
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.sync.background import BackgroundWork
from mirror_syncer.runs.sync.closure_step import ClosureStep

log = structlog.get_logger()

_IDLE_SECONDS = 20.0  # a time that is stored meanwhile is seen after at most this; a page is due within 60
_BATCH = 1_000


class Maturity(BackgroundWork):
    """
    Judges pages again whose decision has expired.

    Args:
        closure_step: resolves what a release that matured requires.
        clock, sleep: as in ``BackgroundWork``.
    """

    _name = "maturity"
    _offline = True
    _pause_seconds = 300.0

    def __init__(
        self,
        context: RunContext,
        closure_step: ClosureStep,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(context, clock=clock, sleep=sleep)
        self._project_list = context.project_list
        self._closure_step = closure_step
        self._retries: dict[NormalizedName, float] = {}
        """When to retry projects whose judgement failed."""
        self._judging = set[NormalizedName]()
        self._batches = set[asyncio.Task[None]]()

    async def run(self) -> None:
        """Publish what has matured until cancelled; after a failure, pause and retry."""
        try:
            await super().run()
        finally:
            for batch in self._batches:
                batch.cancel()
            await asyncio.gather(*self._batches, return_exceptions=True)

    async def _round(self) -> float:
        if not self._is_paused() and (names := await asyncio.to_thread(self._expired)):
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
        self._retries = {name: at for name, at in self._retries.items() if now < at <= now + self._pause_seconds}
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
        self._judging.update(names)
        in_vain = names
        try:
            async with self._hidden_run() as run:
                run.sync.postponed = set()  # a full disk stops only what has to be downloaded
                if self._closure_step.follows:
                    await self._follow(run, names)
                run.progress.add_tasks(len(names))
                await self._queue.put(Task(run.id, name, Action.JUDGE, Priority.NAMED) for name in names)
                await run.progress.wait_for_tasks()
                in_vain = await asyncio.to_thread(lambda: list(filter(self._is_expired, names)))
                changed = run.progress.counts.projects_changed
                log.info("decisions expired", projects=len(names), changed=changed)
                if changed:
                    await self._project_list.publish()
        except Exception:
            log.exception("publishing files after their cooldown failed; retrying in 5 minutes")
        finally:
            self._judging.difference_update(names)
            self._retries |= dict.fromkeys(in_vain, self._clock() + self._pause_seconds)

    async def _follow(self, run: ActiveRun, names: list[NormalizedName]) -> None:
        """Resolve and publish what matured releases require; where that is impossible, they wait."""
        self._closure_step.begin(run)
        try:
            await self._closure_step.resolve(run)
            await self._closure_step.publish(run, counted=names)
        except MirrorError as error:
            log.warning("what matured releases require could not be resolved; they wait", reason=str(error))
        else:
            await self._closure_step.settle(run)

    def _is_expired(self, name: NormalizedName) -> bool:
        row = self._catalog.projects.get(name)
        return row is not None and row.expires_at is not None and row.expires_at <= self._clock()
