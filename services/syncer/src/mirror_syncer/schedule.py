"""When runs come by themselves."""

import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

_JITTER_SECONDS = 20  # so that a thousand mirrors do not all knock at :00 and :30
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def crontab(expression: str, *, time_zone: str) -> CronTrigger:
    """
    Return the trigger of a crontab's five fields.

    Weekdays are crontab's, 0 and 7 both Sunday. (APScheduler itself counts from Monday, so numbers become names.) Where
    day and weekday are both restricted, both must hold.

    Raises:
        ValueError: it is no such expression.
    """
    fields = expression.split()
    if len(fields) != 5:  # noqa: PLR2004 - minute, hour, day, month, weekday
        raise ValueError(f"{expression!r} is not a crontab's five fields, as in '*/30 * * * *', nor 'off'")
    minute, hour, day, month, weekday = fields
    try:
        return CronTrigger(
            minute=minute,
            hour=hour,
            day=day,
            month=month,
            day_of_week=_weekdays(weekday),
            timezone=zoneinfo.ZoneInfo(time_zone),
            jitter=_JITTER_SECONDS,
        )
    except ValueError as error:
        raise ValueError(f"{expression!r}: {error}") from error


def _weekdays(field: str) -> str:
    """Return crontab's weekdays by name, a range as its days: APScheduler has no range over Sunday."""
    if field == "*":
        return field
    days: list[str] = []
    for part in field.lower().split(","):
        match = re.fullmatch(r"(?:\*|(?P<first>\w+)-(?P<last>\w+))(/(?P<step>[1-9]\d?))?|(?P<one>\w+)", part)
        if match is None:
            raise ValueError(f"{part!r} is no weekday, as in 1, mon, 1-5 or */2")
        first = _day(match["one"] or match["first"] or "0")
        last = _day(match["one"] or match["last"] or "6")
        last += 7 if last < first else 0
        days += [_DAYS[number % 7] for number in range(first, last + 1, int(match["step"] or 1))]
    return ",".join(dict.fromkeys(days))


def _day(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text in tuple("01234567"):  # crontab(5): 0 or 7 is Sunday
        return int(text)
    raise ValueError(f"{text!r} is no weekday: 0-7 or sun-sat")


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
        trigger: CronTrigger | None,
        *,
        sync: Callable[[], None],
        verify_trigger: CronTrigger | None = None,
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


def interval_seconds(trigger: CronTrigger, *, now: datetime) -> float:
    """Return the seconds between the next two times of a trigger."""
    first = trigger.get_next_fire_time(None, now)
    second = first and trigger.get_next_fire_time(first, first)
    return (second - first).total_seconds() if first and second else float("inf")
