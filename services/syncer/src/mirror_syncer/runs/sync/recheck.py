"""
The weekly re-check of each project, for changes without a new serial: archiving, roles, a regenerated page.

It continues slowly in the background, and after a restart from the times in the catalog.
"""

import asyncio

from mirror_syncer.catalog import DueProject
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.sync.background import BackgroundWork

EVERY_SECONDS = 7 * 86_400
PACE_SECONDS = 0.5  # two requests a second: PyPI's 890,000 projects in five days
_IDLE_SECONDS = 60.0
_MAX_TASKS = 10  # so that they do not pile up behind a busy queue


class Recheck(BackgroundWork):
    """Refreshes each listed project weekly, with scope ``everything``."""

    _name = "re-check"
    _pause_seconds = 600.0  # after an outage

    async def _round(self) -> float:
        if not self._enabled():
            return _IDLE_SECONDS
        pages = self._catalog.due.stale(before=int(self._clock()) - EVERY_SECONDS)
        async with self._hidden_run() as run:
            while self._enabled() and (page := await asyncio.to_thread(next, pages, None)):
                for due in page:
                    if run.error is not None:
                        return self._pause_seconds
                    await self._refresh(run, due)
                    run.report.log.summarize_periodically()
            await run.progress.wait_for_tasks()
        return _IDLE_SECONDS

    def _enabled(self) -> bool:
        return self._policy.current.everything and not self._is_paused()

    async def _refresh(self, run: ActiveRun, due: DueProject) -> None:
        if due.name in self._queue.names():
            return  # it is refreshed anyway
        run.progress.add_tasks()
        await self._queue.put([Task(run.id, due.name, Action.REFRESH, Priority.RECHECK, wanted_serial=due.wanted)])
        await self._sleep(PACE_SECONDS)
        if run.progress.tasks_left >= _MAX_TASKS:
            await run.progress.wait_for_tasks()
