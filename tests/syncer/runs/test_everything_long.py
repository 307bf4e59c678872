"""A sync of everything that takes long: nothing waits behind it, and what broke off goes on."""

import asyncio
import json
import time

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState
from mirror_syncer.catalog import Fact
from mirror_syncer.runs.sync import whole_index as sync
from mirror_syncer.runs.sync.recheck import EVERY_SECONDS, PACE_SECONDS, Recheck
from syncer.runs.test_everything import asked, publish, stubs
from syncer.runs.test_resume import killed
from syncer.site import Running, Site

IN_MERGE = """
from mirror_syncer.catalog.listing import Listing
merge = Listing._merge
def die(self, beginning, listed, **options):
    if beginning == "m":
        os.kill(os.getpid(), signal.SIGKILL)
    return merge(self, beginning, listed, **options)
Listing._merge = die
"""


async def waits(running: Running, name: str) -> None:
    """Wait until a project waits for its turn; the queue tells nobody, so it is looked at."""
    async with asyncio.timeout(10):
        while name not in running.mirror.engine.context.queue.names():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.01)


async def test_named_run_in_the_middle_of_a_first_sync(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync six` ends within ten seconds while 5,000 slow projects wait, of which some two thousand are in memory."""
    stubs(pypi, 5_000)
    publish(pypi, "six")
    pypi.faults.on_page().delay(0.2)
    site.everything()
    async with site.running() as running:
        whole = running.ask(RunKind.SYNC)
        await waits(running, "stub-04000")
        waiting = sum(running.mirror.engine.context.queue.depth().values())
        began = time.monotonic()
        named = await running.sync("six")
        seconds = time.monotonic() - began
        state, planned = whole.state, whole.counts.projects_planned
        await running.mirror.engine.cancel(running.mirror.runs.active(whole.id))  # type: ignore[arg-type]
        cancelled = await running.ended(whole)

    assert (named.state, state, planned) == (RunState.SUCCEEDED, RunState.RUNNING, 5_001)
    assert seconds < 10
    assert waiting <= 2_000
    assert (cancelled.state, site.published("six").page.name) == (RunState.CANCELLED, "six")


async def test_sync_asked_for_meanwhile_is_the_one_under_way(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A second wish returns the run under way, which reads the list again and puts what is new before the backlog."""
    stubs(pypi, 30)
    gate = pypi.faults.on_page().gate()
    site.everything()
    async with site.running(connections=4) as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        pypi.index.project("news").create()
        again = running.ask(RunKind.SYNC, allow_removals=3)
        await waits(running, "news")
        gate.open()
        ended = await running.ended(run)

    assert again.id == run.id
    assert [one.status for one in pypi.log.to("/simple/")] == [200, 200]
    assert (ended.state, ended.counts.projects_done, ended.counts.projects_planned) == (RunState.SUCCEEDED, 31, 31)
    pages = [path for path in pypi.log.paths() if path.startswith("/simple/") and path != "/simple/"]
    assert pages.index("/simple/news/") < 10  # eight are in hand before


async def test_list_that_fails_meanwhile_is_told(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A list that can't be read again does not end a first sync: it is told, and the rest is done."""
    stubs(pypi, 5)
    gate = pypi.faults.on_page().gate()
    site.everything()
    async with site.running(connections=4) as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        broken = pypi.faults.on_root().login_page().gate()
        running.ask(RunKind.SYNC)
        await broken.arrival()
        broken.open()
        gate.open()
        ended = await running.ended(run)

    assert (ended.state, ended.counts.projects_done, len(site.pages())) == (RunState.INCOMPLETE, 5, 5)
    assert "login page" in (ended.message or "")


async def test_files_leave_in_the_middle_of_a_first_sync(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What was retired and is due leaves when the list is read again, long before a first sync ends."""
    publish(pypi, "changes", "held")
    gate = pypi.faults.on_page("held").gate()
    site.everything(grace="0m")
    async with site.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        await site.pages_become(["changes"])
        path = site.web / site.published("changes").places["changes-1.0.tar.gz"]
        pypi.index.project("changes").delete_release("1.0")
        pypi.index.project("changes").upload("2.0")
        await running.sync("changes")
        running.ask(RunKind.SYNC)
        async with asyncio.timeout(10):
            while path.exists():  # noqa: ASYNC110 - as for pages
                await asyncio.sleep(0.01)
        state = run.state
        gate.open()
        await running.ended(run)

    assert state is RunState.RUNNING
    assert site.filenames("changes") == {"changes-2.0.tar.gz", "changes-2.0-py3-none-any.whl"}


async def test_restart_goes_on_with_what_is_left(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A first sync that was stopped goes on as the same run, and asks for no page twice."""
    names = stubs(pypi, 20)
    gate = pypi.faults.on_page(names[0]).gate()
    site.everything()
    async with site.running() as running:
        run = running.ask(RunKind.SYNC)
        await site.pages_become(names[1:])
        running.mirror.engine.stop(grace_seconds=0)
    gate.open()
    pypi.log.forget()

    async with site.running() as running:
        running.mirror.runs.restore()
        ended = await running.ended(run)

    assert (ended.id, ended.state) == (run.id, RunState.SUCCEEDED)
    assert set(asked(pypi)) <= {*names}
    assert len(asked(pypi)) < 10
    assert site.pages() == names


async def test_kill_in_the_middle_of_the_list(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A syncer killed while the list is merged has not seen it; the next reads it whole, and mirrors everything."""
    publish(pypi, "alpha", "omega")
    site.everything()
    await killed(site, dying=IN_MERGE)

    async with site.running() as running:
        known = running.mirror.catalog.listing.known()
        half = running.row("alpha").state
        run = await running.sync()

    assert (known, half) == (None, ProjectState.BEHIND)
    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["alpha", "omega"])


async def test_list_is_published_now_and_then(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before a first sync ends, the project list names what is there."""
    monkeypatch.setattr(sync, "_PUBLISH_SECONDS", 0.05)
    publish(pypi, "early", "late")
    gate = pypi.faults.on_page("late").gate()
    site.everything()
    async with site.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        listed: list[str] = []
        async with asyncio.timeout(10):
            while listed != ["early"]:
                await asyncio.sleep(0.01)
                if (path := site.web / "simple" / "index.v1_json").exists():
                    listed = [project["name"] for project in json.loads(path.read_text())["projects"]]
        gate.open()
        await running.ended(run)


# The weekly look


class Hours:
    """A clock that its own sleeps move, and nothing else."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.slept: list[float] = []
        self.idle = asyncio.Event()

    def clock(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move on; the end of a round is the end of the test's time."""
        self.slept.append(seconds)
        self.now += seconds
        if seconds > PACE_SECONDS:
            self.idle.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def recheck(running: Running, *, now: float) -> Hours:
    """Have what is due at a time looked at, and return how that went."""
    hours = Hours(now)
    weekly = Recheck(running.mirror.engine.context, clock=hours.clock, sleep=hours.sleep)
    task = asyncio.create_task(weekly.run())
    async with asyncio.timeout(20):
        await hours.idle.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return hours


async def test_weekly_look_finds_what_moves_no_serial(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A week on, each project is looked at once, at most two a second; an archived one is published as such."""
    publish(pypi, "alpha", "beta", "gamma")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("beta").archive()
        pypi.log.forget()
        early = await recheck(running, now=time.time() + EVERY_SECONDS - 60)
        before = asked(pypi)
        due = await recheck(running, now=time.time() + EVERY_SECONDS + 60)
        runs = running.mirror.runs.running()

    assert (early.slept[:-1], before) == ([], [])
    assert asked(pypi) == ["alpha", "beta", "gamma"]
    assert due.slept[:-1] == [0.5] * 3
    assert runs == []
    assert str(site.published("beta").page.status) == "archived"


async def test_pause_is_one_of_the_weekly_look_too(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """While the schedule is paused, nothing is asked of upstream by itself."""
    publish(pypi, "alpha")
    site.everything()
    async with site.running() as running:
        await running.sync()
        running.mirror.catalog.remember(Fact.PAUSED, "yes")
        pypi.log.forget()
        await recheck(running, now=time.time() + EVERY_SECONDS + 60)

    assert asked(pypi) == []


async def test_failure_of_the_weekly_look_is_in_the_row(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What fails in the weekly look shows as failing, and is tried again in the next sync that it is due in."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.faults.on_page("beta").status(403).times(1)
        await recheck(running, now=time.time() + EVERY_SECONDS + 60)
        row = running.row("beta")
        metrics = running.mirror.metrics.exposition().decode()
        site.sql("UPDATE project SET due_at = 1 WHERE due_at IS NOT NULL")
        healed = await running.sync()

    assert (row.state, row.published) == (ProjectState.FAILING, True)
    assert 'pypi_mirror_projects{state="failing"} 1.0' in metrics
    assert (healed.state, healed.counts.projects_done) == (RunState.SUCCEEDED, 1)


async def test_weekly_look_waits_an_outage_out(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An upstream that is down is not asked for every project: the look pauses for ten minutes."""
    stubs(pypi, 60)
    site.everything()
    async with site.running(connections=4) as running:
        await running.sync()
        pypi.log.forget()
        pypi.faults.everywhere().status(503)
        hours = await recheck(running, now=time.time() + EVERY_SECONDS + 60)

    assert hours.slept[-1] == 600
    assert len(set(asked(pypi))) < 40


@pytest.mark.parametrize("published", [True, False])
async def test_rebuilt_catalog_is_no_change(site: Site, pypi: fakepypi.FakePyPI, *, published: bool) -> None:
    """A catalog made anew from the pages finds all that is published listed, and downloads nothing twice."""
    publish(pypi, "alpha", "beta")
    site.everything()
    if published:
        await site.sync()
    for path in site.state.iterdir():
        path.unlink()
    pypi.log.forget()
    run = await site.sync()

    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["alpha", "beta"])
    assert (run.counts.files_fetched == 0) is published
