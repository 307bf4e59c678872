"""When a schedule's times come: crontab's five fields, as Debian's cron keeps them."""

import random
import re
import zoneinfo
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim, CronSimError

_JITTER_SECONDS = 20  # so that a thousand mirrors do not all knock at :00 and :30
_MOMENT = timedelta(microseconds=1)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class Crontab(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """
    The times of a crontab's five fields, as Debian's cron keeps them.

    Where day and weekday are both restricted, either is enough. Where clocks go forward, what would have come in the
    hour that is missing comes right after it; where they go back, what has an hour and a minute of its own comes once.
    (APScheduler's own trigger skips a day whose midnight is missing, and comes twice in an hour that is repeated.)

    Args:
        expression: the five fields.

    Raises:
        ValueError: it is no such expression, or names a day that never comes.
    """

    def __init__(self, expression: str, *, time_zone: str) -> None:
        self.timezone = zoneinfo.ZoneInfo(time_zone)
        self.jitter: float | None = _JITTER_SECONDS
        fields = expression.split()
        if len(fields) != 5:  # noqa: PLR2004 - minute, hour, day, month, weekday
            raise ValueError(f"{expression!r} is not a crontab's five fields, as in '*/30 * * * *', nor 'off'")
        try:
            self._fields = " ".join([*fields[:4], _weekdays(fields[4])])
            CronSim(self._fields, datetime.now(self.timezone))
        except (CronSimError, ValueError) as error:
            raise ValueError(f"{expression!r}: {error}") from error

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the first time after the previous one, or from now on; None: there is none."""
        # In UTC: within a zone, neither sums nor comparisons tell the two hours of a repeated one apart.
        after = now.astimezone(UTC)
        # By the clock as it is: one that was set back is followed.
        after = after - _MOMENT if previous_fire_time is None else min(after, previous_fire_time.astimezone(UTC))
        for fires in CronSim(self._fields, after.astimezone(self.timezone)):
            if (moment := fires.astimezone(UTC)) > after:
                late = timedelta(seconds=random.uniform(0, self.jitter or 0))
                return (moment + late).astimezone(self.timezone)
        return None


def crontab(expression: str, *, time_zone: str) -> Crontab:
    """Return the trigger of a crontab's five fields; arguments and errors as of ``Crontab``."""
    return Crontab(expression, time_zone=time_zone)


def _weekdays(field: str) -> str:
    """Return crontab's weekdays as numbers, a range as its days: CronSim has no range over Sunday."""
    days: list[str] = []
    for part in field.lower().split(","):
        match = re.fullmatch(r"(?:\*|(?P<first>\w+)-(?P<last>\w+))(/(?P<step>[1-9]\d?))?|(?P<one>\w+)", part)
        if match is None:
            raise ValueError(f"{part!r} is no weekday, as in 1, mon, 1-5 or */2")
        first = _day(match["one"] or match["first"] or "0")
        last = _day(match["one"] or match["last"] or "6")
        last += 7 if last < first else 0
        days += [str(number % 7) for number in range(first, last + 1, int(match["step"] or 1))]
    # A star in front says that the day of the month has to agree.
    return field if field.startswith("*") else ",".join(dict.fromkeys(days))


def _day(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text in tuple("01234567"):  # crontab(5): 0 or 7 is Sunday
        return int(text)
    raise ValueError(f"{text!r} is no weekday: 0-7 or sun-sat")


def interval_seconds(trigger: BaseTrigger, *, now: datetime) -> float:
    """Return the seconds between the next two times of a trigger."""
    first = trigger.get_next_fire_time(None, now)
    second = first and trigger.get_next_fire_time(first, first)
    return (second - first).total_seconds() if first and second else float("inf")
