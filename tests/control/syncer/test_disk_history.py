"""The history of the disk: hourly, kept across restarts, and the forecast that follows from it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mirror_contract import Disk, ProjectState, Schedule, Status
from mirror_control.syncer.disk_history import DiskHistory

NOW = datetime(2026, 11, 22, 16, 12, 33, tzinfo=UTC)
SIZE = 10**12


def status(at: datetime, *, free: int, size: int = SIZE, up: bool = True) -> Status:
    """Return a status with a disk."""
    return Status(
        syncer_up=up,
        as_of=at,
        version="0.1.0",
        upstream="https://pypi.org",
        scope="selected",
        started_at=NOW,
        schedule=Schedule(cron=None),
        projects={ProjectState.CURRENT: 1},
        installable=1,
        files=1,
        stored_bytes=5,
        disk=Disk(size_bytes=size, free_bytes=free),
    )


def filled(path: Path, *, hours: int, per_hour: int, free: int = 4 * 10**11, every: int = 1) -> DiskHistory:
    """Return the history of a volume that has a free space now."""
    history = DiskHistory(path)
    for hour in range(hours, -1, -every):
        history.record(status(NOW - timedelta(hours=hour), free=free + hour * per_hour))
    return history


def test_steady_growth_is_forecast(tmp_path: Path) -> None:
    """A volume that loses 10 GB a day is full when its free space is used up."""
    growth = filled(tmp_path / "disk", hours=24 * 10, per_hour=10**10 // 24).growth(now=NOW)
    assert growth is not None
    assert growth.days_left == pytest.approx(40, rel=0.01)
    assert growth.bytes_per_day == pytest.approx(10**10, rel=0.01)


@pytest.mark.parametrize(("hours", "every"), [(0, 1), (71, 1), (240, 12)])
def test_short_history_tells_nothing(tmp_path: Path, hours: int, every: int) -> None:
    """Less than three days, or fewer than 24 points, tell nothing, and are said to suffice later."""
    history = filled(tmp_path / "disk", hours=hours, per_hour=10**9, every=every)
    assert history.growth(now=NOW) is None
    enough = history.forecast_from(now=NOW)
    assert enough is not None
    for hour in range(1, 24 * 3 + 1):
        at = NOW + timedelta(hours=hour)
        history.record(status(at, free=10**11))
        assert (history.growth(now=at) is None) == (at < enough)


def test_empty_history_promises_no_forecast(tmp_path: Path) -> None:
    """Without a look at the disk, nothing says when the next succeeds."""
    assert DiskHistory(tmp_path / "disk").forecast_from(now=NOW) is None


@pytest.mark.parametrize("per_hour", [0, -(10**9), 400_000, 10**6])
def test_slow_or_falling_use_has_no_end(tmp_path: Path, per_hour: int) -> None:
    """A volume that empties, stays as it is, or takes more than two years has no day on which it is full."""
    growth = filled(tmp_path / "disk", hours=240, per_hour=per_hour).growth(now=NOW)
    assert growth is not None
    assert growth.days_left is None


def test_history_is_hourly_and_survives_a_restart(tmp_path: Path) -> None:
    """Points within an hour are left out, old ones expire, and the next process continues the history."""
    history = DiskHistory(tmp_path / "disk")
    for minute in range(0, 90 * 24 * 60, 15):
        history.record(status(NOW - timedelta(days=90) + timedelta(minutes=minute), free=4 * 10**11))
    history.save()
    assert (tmp_path / "disk").stat().st_size < 300_000
    again = DiskHistory(tmp_path / "disk")
    assert again.growth(now=NOW) == history.growth(now=NOW) is not None


def test_other_volume_begins_a_new_history(tmp_path: Path) -> None:
    """A volume of another size begins a new history; a status of the past, or of before, is no point."""
    history = filled(tmp_path / "disk", hours=240, per_hour=10**9)
    before = history.growth(now=NOW)
    history.record(status(NOW + timedelta(hours=2), free=0, up=False))
    assert history.growth(now=NOW) == before
    history.record(status(NOW + timedelta(hours=2), free=10**12, size=2 * SIZE))
    assert history.growth(now=NOW) is None


def test_clock_that_was_set_back_does_not_stop_the_history(tmp_path: Path) -> None:
    """After a clock that was a year ahead, the history begins anew instead of waiting for a year."""
    history = DiskHistory(tmp_path / "disk")
    history.record(status(NOW + timedelta(days=365), free=5))
    for hour in range(100, -1, -1):
        history.record(status(NOW - timedelta(hours=hour), free=4 * 10**11 + hour * 10**9))
    assert history.growth(now=NOW) is not None
