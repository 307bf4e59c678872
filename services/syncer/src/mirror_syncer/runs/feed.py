"""How a run's tasks come into the one queue, and when they are done."""

from collections.abc import Iterable

from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.queue import Task, WorkQueue


class Feed:
    """Feeds the queue with what runs want done."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    async def put(self, run: ActiveRun, tasks: Iterable[Task]) -> None:
        """Put tasks into the queue, unless the run is over."""
        tasks = list(tasks)
        if run.over or not tasks:
            return
        run.expect(len(tasks))
        await self._queue.put(tasks)
        if run.over:  # it ended in this very moment, and what it had in the queue was dropped before
            run.task_done(await self._queue.drop(run.id))

    async def run_to_completion(self, run: ActiveRun, tasks: Iterable[Task]) -> None:
        """Have tasks done; return at once where nothing more is to be done for the run."""
        if not run.over:
            await self.put(run, tasks)
            await run.idle()
