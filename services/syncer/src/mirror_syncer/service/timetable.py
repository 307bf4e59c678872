"""The timetable: starts runs by schedule."""

from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger


class Timetable:
    """
    Requests runs at the times of their triggers; the jobs only queue a run, so they take no time.

    Args:
        trigger: of the sync; None: the schedule is off.
        verify_trigger: of the verify; None: the schedule is off.
        paused: request no run until ``resume``.
    """

    def __init__(
        self,
        trigger: BaseTrigger | None,
        *,
        sync: Callable[[], None],
        verify_trigger: BaseTrigger | None = None,
        verify: Callable[[], None] = lambda: None,
        paused: bool,
    ) -> None:
        self._scheduler = AsyncIOScheduler(
            # coalesce: one sync rather than sixteen after a night in suspend; a missed one is made up for at any time.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._job = None if trigger is None else self._scheduler.add_job(sync, trigger, id="sync")
        if verify_trigger is not None:
            self._scheduler.add_job(verify, verify_trigger, id="verify")
        self.paused = paused

    def start(self) -> None:
        """Start the scheduler."""
        self._scheduler.start(paused=self.paused)

    def stop(self) -> None:
        """Stop the scheduler."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def pause(self) -> None:
        """Request no scheduled run."""
        self._scheduler.pause()
        self.paused = True

    def resume(self) -> None:
        """Request scheduled runs again."""
        self._scheduler.resume()
        self.paused = False

    def follow_clock(self) -> None:
        """Reschedule after the system clock was set: skipped runs start now, and distant ones earlier."""
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            soonest = job.trigger.get_next_fire_time(None, now)
            if soonest is not None and soonest < job.next_run_time:
                job.reschedule(job.trigger)
        self._scheduler.wakeup()

    @property
    def next_run_at(self) -> datetime | None:
        """The time of the next scheduled sync."""
        # A job has no such time before the scheduler has started.
        return None if self.paused or self._job is None else getattr(self._job, "next_run_time", None)
