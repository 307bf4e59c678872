"""How far a run is: its counts, the time of each phase, and the tasks that are left."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mirror_contract import Counts, Run
from mirror_syncer.model.phases import PHASES


class RunProgress:
    """
    The progress of a run.

    Attributes:
        phases: seconds that each phase has taken in this process.
        tasks_left: tasks that were added and are not finished.
    """

    def __init__(self, document: Run) -> None:
        self._document = document
        self.phases = dict.fromkeys(PHASES[document.request.kind], 0.0)
        self.tasks_left = 0
        self._changed = asyncio.Event()

    @property
    def counts(self) -> Counts:
        """The counts in the run's document."""
        return self._document.counts

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the duration of the block to a phase, also when the block fails."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] += time.monotonic() - started

    def add_tasks(self, count: int = 1) -> None:
        """Count tasks that were queued."""
        self.tasks_left += count

    def finish_tasks(self, count: int = 1) -> None:
        """Count tasks that were done, or removed from the queue."""
        self.tasks_left -= count
        self.notify()

    def notify(self) -> None:
        """Have those that wait check their condition again."""
        self._changed.set()

    async def wait_for_tasks(self, at_most: int = 0, *, unless: Callable[[], bool] = lambda: False) -> None:
        """
        Wait until at most this many tasks are left.

        Args:
            unless: ends the wait early; checked whenever tasks finish, and after ``notify``.
        """
        while self.tasks_left > at_most and not unless():
            self._changed.clear()
            await self._changed.wait()
