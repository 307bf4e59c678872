"""The host's clock is set forward or back: nothing waits for a wrong date, and no grace period ends too soon."""

import time
from datetime import UTC, datetime, timedelta

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from mirror_syncer.config.crontab import crontab
from mirror_syncer.service.process import _is_due
from mirror_syncer.service.timetable import Timetable
from syncer.site import Site

DAY = 86_400
YEAR = 365 * DAY
WHEEL = "six-1.0-py3-none-any.whl"
SDIST = "six-1.0.tar.gz"


class Host:
    """A host whose time and clock a test controls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wall, steady = time.time, time.clock_gettime
        self._set = self._passed = 0.0
        monkeypatch.setattr(time, "time", lambda: wall() + self._set + self._passed)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: steady(clock) + self._passed)

    def set_clock(self, *, by: float) -> None:
        """Set the clock, as an operator or NTP does."""
        self._set += by

    def wait(self, seconds: float) -> None:
        """Advance the time."""
        self._passed += seconds


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host that the mirror runs on."""
    return Host(monkeypatch)


@pytest.mark.proves("reliability/time-and-order")
@pytest.mark.parametrize("by", [-DAY, YEAR], ids=["a day back", "a year forward"])
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_failed_file_after_a_clock_change_is_retried_on_time(
    site: Site, pypi: fakepypi.FakePyPI, host: Host, by: int, *, restarted: bool
) -> None:
    """A failed file is retried after its 5 minutes, whichever way the clock was set in between."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    pypi.faults.on_file(WHEEL).times(1).status(404)
    if restarted:
        assert (await site.sync()).state is RunState.INCOMPLETE
        host.set_clock(by=by)
    async with site.running() as running:
        if not restarted:
            assert (await running.sync()).state is RunState.INCOMPLETE
            host.set_clock(by=by)
        if by < 0 or not restarted:  # over a restart, a year forward looks like a year switched off
            await running.sync()
            assert site.filenames("six") == {SDIST}
        host.wait(700)
        await running.sync()
    assert site.filenames("six") == {SDIST, WHEEL}
    site.assert_whole()


@pytest.mark.proves("reliability/time-and-order")
@pytest.mark.parametrize("by", [-DAY, YEAR], ids=["a day back", "a year forward"])
async def test_grace_period_after_a_clock_change_keeps_its_length(
    site: Site, pypi: fakepypi.FakePyPI, host: Host, by: int
) -> None:
    """A deleted file stays for its grace period and no longer, whichever way the clock is set in between."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six", grace="2h")
    async with site.running() as running:
        await running.sync()
        path = site.web / site.published("six").places[WHEEL]
        project.delete_file(WHEEL)
        await running.sync()
        host.set_clock(by=by)
        host.wait(3_600)
        await running.collect()
        assert path.exists()
        host.wait(3_700)
        await running.collect()
        assert not path.exists()


@pytest.mark.proves("reliability/time-and-order")
@pytest.mark.parametrize("everything", [False, True])
async def test_clock_change_during_a_run_shortens_no_grace_period(
    site: Site, pypi: fakepypi.FakePyPI, host: Host, *, everything: bool
) -> None:
    """A run during which the clock is set forward removes no file before its grace period is over."""
    project = pypi.index.project("six")
    project.upload("1.0")
    pypi.index.project("idna").upload("1.0")
    if everything:
        site.everything(grace="2h")
    else:
        site.select("six", "idna", grace="2h")
    async with site.running() as running:
        await running.sync()
        path = site.web / site.published("six").places[WHEEL]
        project.delete_file(WHEEL)
        await running.sync()
        pypi.index.project("idna").upload("2.0")
        gate = pypi.faults.on_page("idna").gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        host.set_clock(by=YEAR)
        gate.open()
        ended = await running.ended(run)
        assert path.exists()
        host.wait(2 * 3_600 + 100)
        await running.collect()

    assert (ended.state, ended.counts.files_removed) == (RunState.SUCCEEDED, 0)
    assert not path.exists()


@pytest.mark.proves("reliability/time-and-order")
async def test_start_after_a_success_in_the_future_syncs_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The syncer syncs as soon as it starts if the last success lies in the future."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    async with site.running() as running:
        assert not _is_due(running.mirror)
    site.sql("UPDATE run SET document = json_set(document, '$.finished_at', '2099-01-01T00:00:00Z')")
    async with site.running() as running:
        assert _is_due(running.mirror)


@pytest.mark.proves("reliability/time-and-order")
async def test_runs_after_a_clock_set_back_stay_in_order(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Runs requested after the clock was set back are listed newest first, ahead of a run dated in the future."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    future = "20990101T000000999-abcdef"
    site.sql(f"UPDATE run SET id = '{future}', document = json_set(document, '$.id', '{future}')")
    async with site.running() as running:
        requested = [running.ask(kind) for kind in (RunKind.SYNC, RunKind.VERIFY, RunKind.COLLECT)]
        for run in requested:
            assert (await running.ended(run)).state is RunState.SUCCEEDED
        listed = [run.id for run in running.mirror.catalog.runs.page()]
    assert listed == [*(run.id for run in reversed(requested)), future]


@pytest.mark.proves("reliability/time-and-order")
async def test_schedule_after_a_clock_set_back_syncs_on_time() -> None:
    """After the clock is set back a day, the next sync is due within the half hour of its schedule."""
    timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
    timetable.start()
    one_day = timedelta(days=1)
    timetable._job.modify(next_run_time=datetime.now(UTC) + one_day)  # type: ignore[union-attr] # as set by the earlier clock
    timetable.follow_clock()
    assert timetable.next_run_at is not None
    assert timedelta(0) < timetable.next_run_at - datetime.now(UTC) < timedelta(minutes=31)
    timetable.stop()
