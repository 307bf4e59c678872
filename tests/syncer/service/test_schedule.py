"""The schedule means what a crontab means."""

import asyncio
import random
import re
import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.cron import CronTrigger

from mirror_syncer.config.crontab import crontab, interval_seconds
from mirror_syncer.service.timetable import Timetable

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
        "0 0 31 2 *",
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
        assert fires is not None
        assert fires.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).hour == 3


def times(expression: str, zone: str, start: str, count: int) -> list[str]:
    """Return the next times of an expression, with their offsets, each asked for when the last one has come."""
    trigger = crontab(expression, time_zone=zone)
    fires, now = None, datetime.fromisoformat(start).replace(tzinfo=zoneinfo.ZoneInfo(zone))
    found = []
    for _ in range(count):
        fires = trigger.get_next_fire_time(fires, now)
        assert fires is not None
        now = fires
        found.append(f"{fires:%m-%dT%H:%M%z}")
    return found


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", ["09-06T01:00-0300", "09-07T00:00-0300"]),
        ("30 0 * * 0", "America/Santiago", "2026-09-05T12:00", ["09-06T01:00-0300", "09-13T00:30-0300"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", ["04-24T01:00+0300", "04-25T00:00+0300"]),
        ("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00", ["03-29T01:00+0300", "03-30T00:00+0300"]),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["03-29T03:00+0200", "03-30T02:30+0200"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25T02:30+0200", "10-26T02:30+0100"]),
        ("0 0 * * *", "America/Havana", "2026-10-31T12:00", ["11-01T00:00-0400", "11-02T00:00-0500"]),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:45",
            ["10-25T02:00+0200", "10-25T02:30+0200", "10-25T02:00+0100", "10-25T02:30+0100", "10-25T03:00+0100"],
        ),
    ],
)
def test_schedule_where_clocks_change(expression: str, zone: str, start: str, expected: list[str]) -> None:
    """A time that a day lacks comes right after the gap, one that a day has twice comes once, an interval goes on."""
    assert times(expression, zone, start, len(expected)) == expected


@pytest.mark.proves("reliability/host")
def test_schedule_asked_in_a_repeated_hour_is_not_in_the_past() -> None:
    """A start in the second of two equal hours waits for tomorrow's time, and makes up for none."""
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    now = datetime(2026, 10, 25, 2, 10, tzinfo=berlin, fold=1)
    fires = crontab("30 2 * * *", time_zone="Europe/Berlin").get_next_fire_time(None, now)
    assert fires is not None
    assert fires.day == 26


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 12 13 * 5", {6, 13, 20, 27}),
        ("0 12 1,15 * sun", {1, 8, 15, 22, 29}),
        ("0 12 13 * *", {13}),
        ("0 12 * * 5", {6, 13, 20, 27}),
        ("0 12 1-7 * */7", {1}),
        ("0 12 */2 * 7", {1, 15, 29}),
    ],
)
def test_day_and_weekday_either_is_enough(expression: str, days: set[int]) -> None:
    """Where day and weekday are both restricted, either is enough; a star in front makes both needed, as in cron."""
    found = times(expression, "UTC", "2026-02-28T13:00", 9)
    assert {int(time[3:5]) for time in found if time.startswith("03-")} == days


def test_runs_do_not_knock_on_the_hour() -> None:
    """A run comes within twenty seconds after its minute, not always on it."""
    trigger, now = crontab("*/30 * * * *", time_zone="UTC"), datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    times = (trigger.get_next_fire_time(None, now) for _ in range(50))
    late = {(fires - now.replace(minute=30)).total_seconds() for fires in times if fires is not None}
    assert min(late) >= 0
    assert max(late) <= 20
    assert len(late) > 1


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("*/30 * * * *", 1_800), ("0 3 * * *", 86_400), ("0 3 * * 0", 604_800)],
)
def test_intervals(expression: str, seconds: float) -> None:
    """The interval is that of the schedule, give or take the jitter."""
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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60):
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
