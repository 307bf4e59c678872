"""The speed of a run, and its rest: told only when it is known."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_contract import Counts, Run, RunKind, RunRequest, RunState, Trigger
from mirror_control.syncer.run_speed import RunSpeed, RunSpeeds


def running(done: int, *, size: int = 0, planned: int = 1000, name: str = "r1") -> Run:
    """Return a running sync."""
    return Run(
        id=name,
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.SCHEDULE,
        state=RunState.RUNNING,
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
        counts=Counts(projects_planned=planned, projects_done=done, bytes_fetched=size),
    )


def speed_after(*steps: tuple[float, Run]) -> RunSpeed | None:
    """Return the speed of a run after some looks at it."""
    speeds = RunSpeeds()
    for at, run in steps:
        speeds.record([run], now=at)
    return speeds.speed_of("r1")


def test_speed_and_rest_are_told() -> None:
    """After a minute, the bytes of a second and the seconds that are left follow from what happened in it."""
    assert speed_after((0, running(100, size=0)), (60, running(200, size=6_000_000))) == RunSpeed(100_000, 480)


@pytest.mark.parametrize(
    "steps",
    [
        [(0, running(0)), (60, running(10))],  # below 2 %
        [(0, running(100)), (60, running(200, planned=2000))],  # the plan grows
        [(0, running(100)), (60, running(100))],  # nothing was done
        [(0, running(100)), (20, running(200))],  # too short
    ],
)
def test_rest_is_not_guessed(steps: list[tuple[float, Run]]) -> None:
    """Nothing is said of the rest at the beginning, after a short time, without progress, or while the plan grows."""
    speed = speed_after(*steps)
    assert speed is not None
    assert speed.seconds_left is None


def test_speed_is_unknown_at_first() -> None:
    """One look, or two within ten seconds, tell no speed; nor does a run that has ended."""
    assert speed_after((0, running(100))) is None
    assert speed_after((0, running(100)), (6, running(200))) is None
    speeds = RunSpeeds()
    speeds.record([running(100)], now=0)
    speeds.record([running(200)], now=60)
    speeds.record([running(1, name="r2")], now=61)
    assert speeds.speed_of("r1") is None


def test_resumed_run_is_measured_anew() -> None:
    """When a run counts anew after a restart of the syncer, what it did before does not count."""
    steps = (0, running(900, size=10**9)), (60, running(10, size=10**9)), (120, running(110, size=10**9 + 600))
    assert speed_after(*steps) == RunSpeed(10, 534)


@given(st.lists(st.tuples(st.floats(0.1, 2000), st.integers(0, 50), st.integers(0, 10**9)), min_size=1, max_size=40))
def test_speed_is_never_negative(steps: list[tuple[float, int, int]]) -> None:
    """Whatever is seen, speed and rest are never negative."""
    speeds, at, done, size = RunSpeeds(), 0.0, 0, 0
    for seconds, projects, received in steps:
        at, done, size = at + seconds, (done + projects) % 700, (size + received) % 10**10
        speeds.record([running(done, size=size)], now=at)
        if (speed := speeds.speed_of("r1")) is not None:
            assert speed.bytes_per_second >= 0
            assert speed.seconds_left is None or speed.seconds_left >= 0
