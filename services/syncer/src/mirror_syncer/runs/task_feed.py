"""The feed: puts the tasks of runs into the queue and counts them."""

from collections.abc import Iterable

from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.queue import Task, WorkQueue


class Feed:
    """Queues tasks on behalf of runs."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue

    async def put(self, run: ActiveRun, tasks: Iterable[Task]) -> None:
        """Queue tasks, unless the run is stopping."""
        tasks = list(tasks)
        if run.is_stopping or not tasks:
            return
        run.progress.add_tasks(len(tasks))
        await self._queue.put(tasks)
        if run.is_stopping:  # since the call: the queue dropped the run's tasks before these came
            run.progress.finish_tasks(await self._queue.drop(run.id))

    async def run_to_completion(self, run: ActiveRun, tasks: Iterable[Task]) -> None:
        """Queue tasks and wait until all are done; return at once if the run is stopping."""
        if not run.is_stopping:
            await self.put(run, tasks)
            await run.progress.wait_for_tasks()
