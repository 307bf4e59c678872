"""The schedule means what a crontab means."""

import asyncio
import random
import re
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger

from mirror_syncer.schedule import Timetable, crontab, interval_seconds

NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def firing_days(weekday: str) -> set[int]:
    """Return the days of the week, Sunday being 0, on which a trigger fires in two weeks."""
    trigger = crontab(f"0 12 * * {weekday}", time_zone="UTC")
    now, days = datetime(2026, 3, 1, tzinfo=UTC), set()
    while (fires := trigger.get_next_fire_time(None, now)) and fires < datetime(2026, 3, 15, tzinfo=UTC):
        assert (fires.hour, fires.minute) == (12, 0)
        days.add(fires.isoweekday() % 7)
        now = fires.replace(minute=1)
    return days


def oracle(field: str) -> set[int]:
    """Return what crontab(5) says a weekday field means, by the table that cron itself fills."""
    days: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-6" if span == "*" else span).partition("-")
        days |= {number % 7 for number in range(int(first), int(last or first) + 1, int(step or 1))}
    return days


@pytest.mark.parametrize(
    "field",
    ["*", "0", "7", "1-5", "0-7", "1-7", "5-7", "0-0", "7-7", "*/2", "0-6/2", "1-7/3", "0-7/7", "0,3,7", "1-2,4-5"],
)
def test_weekdays_are_crontabs(field: str) -> None:
    """Numbers count from Sunday, and 0 and 7 both are Sunday, alone and in ranges."""
    assert firing_days(field) == oracle(field)


def test_weekdays_at_random() -> None:
    """Fields put together at random fire on the days that the oracle tells."""
    choose = random.Random(5)
    for _ in range(60):
        parts = []
        for _ in range(choose.randint(1, 3)):
            first, last = sorted((choose.randint(0, 7), choose.randint(0, 7)))
            parts.append(choose.choice((f"{first}", f"{first}-{last}", f"{first}-{last}/{choose.randint(1, 9)}")))
        assert firing_days(",".join(parts)) == oracle(",".join(parts)), parts


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("mon-fri", {1, 2, 3, 4, 5}),
        ("SUN", {0}),
        ("fri-mon", {5, 6, 0, 1}),
        ("5-1", {5, 6, 0, 1}),
        ("6-0", {6, 0}),
        ("7-1", {0, 1}),
        ("sat-sun,wed", {6, 0, 3}),
    ],
)
def test_names_and_ranges_over_sunday(field: str, days: set[int]) -> None:
    """Names work in any case, and a range may go on over the end of the week."""
    assert firing_days(field) == days


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "off",
        "@daily",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * -1",
        "* * * * 1-",
        "* * * * someday",
        "* * * * */0",
        "* * * * 1/2",
        "* * * * ²",
        "*/0 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
    ],
)
def test_what_is_no_schedule(expression: str) -> None:
    """A field out of its bounds, a step of none and a missing field are refused by a sentence with the expression."""
    with pytest.raises(ValueError, match=re.escape(repr(expression))):
        crontab(expression, time_zone="UTC")


def test_the_zone_is_the_schedules() -> None:
    """Three in the morning is three in Berlin, summer and winter."""
    trigger = crontab("0 3 * * *", time_zone="Europe/Berlin")
    for month in (1, 7):
        fires = trigger.get_next_fire_time(None, datetime(2026, month, 1, tzinfo=UTC))
        assert fires.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).hour == 3


def test_runs_do_not_knock_on_the_hour() -> None:
    """A run comes within twenty seconds after its minute, not always on it."""
    trigger, now = crontab("*/30 * * * *", time_zone="UTC"), datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    late = {(trigger.get_next_fire_time(None, now) - now.replace(minute=30)).total_seconds() for _ in range(50)}
    assert min(late) >= 0
    assert max(late) <= 20
    assert len(late) > 1


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("*/30 * * * *", 1_800), ("0 3 * * *", 86_400), ("0 3 * * 0", 604_800), ("0 0 31 2 *", float("inf"))],
)
def test_intervals(expression: str, seconds: float) -> None:
    """The interval is that of the schedule, give or take the jitter; what never comes has none."""
    interval = interval_seconds(crontab(expression, time_zone="UTC"), now=datetime(2026, 1, 1, tzinfo=UTC))
    assert interval == pytest.approx(seconds, abs=20)


def soon() -> CronTrigger:
    """Return a trigger that fires each second."""
    return CronTrigger(second="*", timezone="UTC")


def shown(timetable: Timetable) -> datetime | None:
    """Return the next run, asked for anew each time."""
    return timetable.next_run_at


async def test_timetable_calls() -> None:
    """The timetable calls when the trigger says so, and no more once it is stopped."""
    called = asyncio.Event()
    timetable = Timetable(soon(), sync=called.set, paused=False)
    assert timetable.next_run_at is None, "before the start there is no next run, and no error"
    timetable.start()
    assert timetable.next_run_at is not None
    assert timetable.next_run_at - datetime.now(UTC) < timedelta(seconds=2)
    async with asyncio.timeout(5):
        await called.wait()
    timetable.stop()
    timetable.stop()


async def test_pause_and_resume() -> None:
    """A paused timetable has no next run and calls nobody; resumed, it has one again."""
    called = asyncio.Event()
    timetable = Timetable(soon(), sync=called.set, paused=True)
    timetable.start()
    assert timetable.paused
    assert shown(timetable) is None
    timetable.resume()
    assert shown(timetable) is not None
    async with asyncio.timeout(5):
        await called.wait()
    timetable.pause()
    assert timetable.paused
    assert shown(timetable) is None
    timetable.stop()


async def test_verify_has_a_trigger_of_its_own() -> None:
    """A verify comes by its own trigger, with the sync's or without; a pause holds both; the next run is the sync's."""
    synced, verified = asyncio.Event(), asyncio.Event()
    timetable = Timetable(None, sync=synced.set, verify_trigger=soon(), verify=verified.set, paused=True)
    timetable.start()
    await asyncio.sleep(1.1)
    assert not verified.is_set()
    timetable.resume()
    async with asyncio.timeout(5):
        await verified.wait()
    assert shown(timetable) is None
    assert not synced.is_set()
    timetable.stop()


async def test_missed_runs_are_one() -> None:
    """After a night in which the machine slept, one run is made up for, not one for each time missed."""
    calls: list[datetime] = []
    again = asyncio.Event()

    def sync() -> None:
        calls.append(datetime.now(UTC))
        again.set()

    timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=sync, paused=False)
    timetable.start()
    timetable._job.modify(next_run_time=datetime.now(UTC) - timedelta(hours=8))  # type: ignore[union-attr] # slept
    async with asyncio.timeout(5):
        await again.wait()
    assert timetable.next_run_at is not None
    assert timetable.next_run_at > datetime.now(UTC)
    assert len(calls) == 1
    timetable.stop()


async def test_schedule_that_is_off() -> None:
    """Without a trigger there is never a next run; pausing and resuming it is no error."""
    timetable = Timetable(None, sync=lambda: pytest.fail("nothing asked for it"), paused=False)
    timetable.start()
    timetable.pause()
    timetable.resume()
    assert timetable.next_run_at is None
    timetable.stop()
