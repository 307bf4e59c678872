"""The timetable: runs that start by schedule."""

from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger


class Timetable:
    """
    Calls for runs when their triggers say so; the jobs only enqueue, so they take no time.

    Args:
        trigger: of the sync; None where its schedule is off.
        verify_trigger: of the verify; None likewise.
        paused: neither comes until ``resume``.
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
            # coalesce: after a suspended night one sync, not sixteen; no misfire is too late to be made up for.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._job = None if trigger is None else self._scheduler.add_job(sync, trigger, id="sync")
        if verify_trigger is not None:
            self._scheduler.add_job(verify, verify_trigger, id="verify")
        self.paused = paused

    def start(self) -> None:
        """Begin to watch the clock."""
        self._scheduler.start(paused=self.paused)

    def stop(self) -> None:
        """Stop watching it."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def pause(self) -> None:
        """Let no run come by itself."""
        self._scheduler.pause()
        self.paused = True

    def resume(self) -> None:
        """Let runs come by themselves again."""
        self._scheduler.resume()
        self.paused = False

    def follow_clock(self) -> None:
        """Follow a clock that was set: what it passed over comes now, and what is far off by now comes sooner."""
        now = datetime.now(UTC)
        for job in self._scheduler.get_jobs():
            soonest = job.trigger.get_next_fire_time(None, now)
            if soonest is not None and soonest < job.next_run_time:
                job.reschedule(job.trigger)
        self._scheduler.wakeup()

    @property
    def next_run_at(self) -> datetime | None:
        """When the next sync comes by itself."""
        # A job has no such time before the scheduler has started.
        return None if self.paused or self._job is None else getattr(self._job, "next_run_time", None)
