"""
Work in the background, which nobody requested.

It is no run: nobody waits for its end, and it survives its failures. Its tasks belong to a run that only the dispatcher
knows.
"""

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import ClassVar

import structlog

from mirror_contract import Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Fact
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext

log = structlog.get_logger()

_numbers = itertools.count(1)


class BackgroundWork(ABC):
    """
    Work that goes on in rounds.

    Args:
        clock: the time, in seconds since the epoch.
        sleep: waits so many seconds.
    """

    _name: ClassVar[str]
    """In the log."""
    _offline: ClassVar[bool] = False
    """No page is requested."""
    _pause_seconds: ClassVar[float]
    """The pause after a failure."""

    def __init__(
        self,
        context: RunContext,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._catalog = context.catalog
        self._policy = context.policy
        self._queue = context.queue
        self._runs = context.runs
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Do one round after the other until cancelled; after a failure, pause and retry."""
        while True:
            try:
                pause = await self._round()
            except Exception:
                log.exception("background work failed", work=self._name)
                pause = self._pause_seconds
            await self._sleep(pause)

    @abstractmethod
    async def _round(self) -> float:
        """Do all that is due; return the seconds until the next round."""

    def _is_paused(self) -> bool:
        """Return whether the schedule is paused, which pauses everything that starts automatically."""
        return bool(self._catalog.recall(Fact.PAUSED))

    @asynccontextmanager
    async def _hidden_run(self) -> AsyncIterator[ActiveRun]:
        """Yield a run for tasks that are done within the block; nobody but the log hears of its failures."""
        document = Run(
            id=f"{self._name}-{next(_numbers)}",
            request=RunRequest(kind=RunKind.SYNC, offline=self._offline),
            trigger=Trigger.SCHEDULE,
            state=RunState.RUNNING,
            created_at=datetime.now(UTC),
        )
        run = ActiveRun(document)
        run.sync.serial_bounds = await asyncio.to_thread(
            self._catalog.serial_bounds, everything=self._policy.current.everything
        )
        self._runs.background[run.id] = run
        with structlog.contextvars.bound_contextvars(run=run.id, kind=run.request.kind):
            try:
                yield run
            finally:
                del self._runs.background[run.id]
                run.report.log.summarize()
                if run.error is not None:
                    log.warning("background work pauses", work=self._name, why=str(run.error))
