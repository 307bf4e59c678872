"""The host's clock is set, back and forth: nothing waits for a mistaken day, no grace period ends too soon."""

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
    """A host whose time a test makes pass, and whose clock it sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wall, steady = time.time, time.clock_gettime
        self._set = self._passed = 0.0
        monkeypatch.setattr(time, "time", lambda: wall() + self._set + self._passed)
        monkeypatch.setattr(time, "clock_gettime", lambda clock: steady(clock) + self._passed)

    def set_clock(self, *, by: float) -> None:
        """Set the clock, as a person does, or NTP after a boot with an empty battery."""
        self._set += by

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._passed += seconds


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host that the mirror runs on."""
    return Host(monkeypatch)


@pytest.mark.proves("reliability/time-and-order")
@pytest.mark.parametrize("by", [-DAY, YEAR], ids=["a day back", "a year on"])
@pytest.mark.parametrize("restarted", [False, True], ids=["under way", "over a restart"])
async def test_failed_file_is_tried_again_in_time(
    site: Site, pypi: fakepypi.FakePyPI, host: Host, by: int, *, restarted: bool
) -> None:
    """A file that could not be had is tried again after its 5 minutes, wherever the clock was set meanwhile."""
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
        if by < 0 or not restarted:  # on, over a restart: a host that was off so long looks the same
            await running.sync()
            assert site.filenames("six") == {SDIST}
        host.wait(700)
        await running.sync()
    assert site.filenames("six") == {SDIST, WHEEL}
    site.assert_whole()


@pytest.mark.proves("reliability/time-and-order")
@pytest.mark.parametrize("by", [-DAY, YEAR], ids=["a day back", "a year on"])
async def test_grace_is_as_long_as_it_was(site: Site, pypi: fakepypi.FakePyPI, host: Host, by: int) -> None:
    """A dropped file stays for its grace period, and no longer, wherever the clock is set meanwhile."""
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
async def test_grace_outlasts_a_clock_that_is_set_within_a_run(
    site: Site, pypi: fakepypi.FakePyPI, host: Host, *, everything: bool
) -> None:
    """A run that collects in its end notices a clock that was set since it began, before anything leaves."""
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
async def test_success_of_tomorrow_is_not_fresh(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A start syncs at once where the last success is of a time that has not come yet."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    async with site.running() as running:
        assert not _is_due(running.mirror)
    site.sql("UPDATE run SET document = json_set(document, '$.finished_at', '2099-01-01T00:00:00Z')")
    async with site.running() as running:
        assert _is_due(running.mirror)


@pytest.mark.proves("reliability/time-and-order")
async def test_runs_stay_in_order(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run asked for after the clock was set back is listed before those of the future, and after none of its own."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    future = "20990101T000000999-abcdef"
    site.sql(f"UPDATE run SET id = '{future}', document = json_set(document, '$.id', '{future}')")
    async with site.running() as running:
        asked = [running.ask(kind) for kind in (RunKind.SYNC, RunKind.VERIFY, RunKind.COLLECT)]
        for run in asked:
            assert (await running.ended(run)).state is RunState.SUCCEEDED
        listed = [run.id for run in running.mirror.catalog.runs.page()]
    assert listed == [*(run.id for run in reversed(asked)), future]


@pytest.mark.proves("reliability/time-and-order")
async def test_schedule_follows_the_clock() -> None:
    """After the clock was set back a day, a sync comes within its half hour, and not in a day."""
    timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
    timetable.start()
    off = timedelta(days=1)
    timetable._job.modify(next_run_time=datetime.now(UTC) + off)  # type: ignore[union-attr] # as the other clock had it
    timetable.follow_clock()
    assert timetable.next_run_at is not None
    assert timedelta(0) < timetable.next_run_at - datetime.now(UTC) < timedelta(minutes=31)
    timetable.stop()
