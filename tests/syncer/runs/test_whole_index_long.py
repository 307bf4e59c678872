"""A long sync of the whole index: no other run waits for it, and an interrupted one resumes."""

import asyncio
import json
import time

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState
from mirror_syncer.catalog import Fact
from mirror_syncer.runs.sync import whole_index as sync
from mirror_syncer.runs.sync.recheck import EVERY_SECONDS, PACE_SECONDS, Recheck
from syncer.runs.test_resume import run_killed_sync
from syncer.runs.test_whole_index import create_empty_projects, publish, requested_projects
from syncer.site import Running, Site

IN_MERGE = """
from mirror_syncer.catalog import listing
from mirror_syncer.catalog.listing import Listing
listing.LISTED_BATCH_ROWS = 1
merge = Listing._merge
def die(self, known, listed, new, **options):
    if "omega" in listed:
        os.kill(os.getpid(), signal.SIGKILL)
    return merge(self, known, listed, new, **options)
Listing._merge = die
"""


async def wait_until_queued(running: Running, name: str) -> None:
    """Wait until a project is queued; the queue sends no events, so poll it."""
    async with asyncio.timeout(60):
        while name not in running.mirror.engine.context.queue.names():  # noqa: ASYNC110 - polls, as above
            await asyncio.sleep(0.01)


async def test_named_sync_during_a_first_sync_ends_soon(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync six` overtakes 5,000 slow projects: few of them end meanwhile, and at most 2,000 are in memory."""
    create_empty_projects(pypi, 5_000)
    publish(pypi, "six")
    pypi.faults.on_page().delay(0.2)
    site.everything()
    async with site.running() as running:
        whole = running.ask(RunKind.SYNC)
        await wait_until_queued(running, "stub-04000")
        waiting = sum(running.mirror.engine.context.queue.depth().values())
        done = whole.counts.projects_done
        named = await running.sync("six")
        overtaken = whole.counts.projects_done - done
        state, planned = whole.state, whole.counts.projects_planned
        await running.mirror.engine.cancel(running.mirror.runs.active(whole.id))  # type: ignore[arg-type]
        cancelled = await running.ended(whole)

    assert (named.state, state, planned) == (RunState.SUCCEEDED, RunState.RUNNING, 5_001)
    assert overtaken < 500  # of 5,000
    assert waiting <= 2_000
    assert (cancelled.state, site.published("six").page.name) == (RunState.CANCELLED, "six")


async def test_second_whole_sync_joins_the_running_one(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A second request returns the running sync, which reads the list again and puts new projects first."""
    create_empty_projects(pypi, 30)
    gate = pypi.faults.on_page().gate()
    site.everything()
    async with site.running(connections=4) as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        pypi.index.project("news").create()
        again = running.ask(RunKind.SYNC, allow_removals=3)
        await wait_until_queued(running, "news")
        gate.open()
        ended = await running.ended(run)

    assert again.id == run.id
    assert [one.status for one in pypi.log.to("/simple/")] == [200, 200]
    assert (ended.state, ended.counts.projects_done, ended.counts.projects_planned) == (RunState.SUCCEEDED, 31, 31)
    pages = [path for path in pypi.log.paths() if path.startswith("/simple/") and path != "/simple/"]
    assert pages.index("/simple/news/") < 10  # eight requests are under way before it


async def test_failed_second_list_is_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If the list cannot be read again during a first sync, the run reports that and syncs the rest."""
    create_empty_projects(pypi, 5)
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


async def test_due_files_leave_during_a_first_sync(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Retired files that are due are removed when the list is read again, long before a first sync ends."""
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
        async with asyncio.timeout(60):
            while path.exists():  # noqa: ASYNC110 - polls the tree
                await asyncio.sleep(0.01)
        state = run.state
        gate.open()
        await running.ended(run)

    assert state is RunState.RUNNING
    assert site.filenames("changes") == {"changes-2.0.tar.gz", "changes-2.0-py3-none-any.whl"}


async def test_stopped_first_sync_resumes_after_a_restart(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A stopped first sync resumes as the same run, without requesting every page again."""
    names = create_empty_projects(pypi, 20)
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
    assert set(requested_projects(pypi)) <= {*names}
    assert len(requested_projects(pypi)) < 10
    assert site.pages() == names


async def test_syncer_killed_while_merging_the_list_reads_it_again(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A syncer that is killed while it merges the list reads the whole list again in its next sync."""
    publish(pypi, "alpha", "omega")
    site.everything()
    await run_killed_sync(site, dying=IN_MERGE)

    async with site.running() as running:
        known = running.mirror.catalog.listing.last()
        half = running.row("alpha").state
        run = await running.sync()

    assert (known, half) == (None, ProjectState.BEHIND)
    assert (run.state, site.pages()) == (RunState.SUCCEEDED, ["alpha", "omega"])


async def test_project_list_is_published_during_a_first_sync(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project list names finished projects long before a first sync ends."""
    monkeypatch.setattr(sync, "_PUBLISH_SECONDS", 0.05)
    publish(pypi, "early", "late")
    gate = pypi.faults.on_page("late").gate()
    site.everything()
    async with site.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        listed: list[str] = []
        async with asyncio.timeout(60):
            while listed != ["early"]:
                await asyncio.sleep(0.01)
                if (path := site.web / "simple" / "index.v1_json").exists():
                    listed = [project["name"] for project in json.loads(path.read_text())["projects"]]
        gate.open()
        await running.ended(run)


# The weekly recheck


class SteppedClock:
    """A clock that only its own sleeps advance."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.slept: list[float] = []
        self.idle = asyncio.Event()

    def read(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Advance the clock; a long sleep ends the round, and with it the test."""
        self.slept.append(seconds)
        self.now += seconds
        if seconds > PACE_SECONDS:
            self.idle.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def run_recheck(running: Running, *, now: float) -> SteppedClock:
    """Run one round of the weekly recheck at this time, and return its clock."""
    clock = SteppedClock(now)
    weekly = Recheck(running.mirror.engine.context, clock=clock.read, sleep=clock.sleep)
    task = asyncio.create_task(weekly.run())
    async with asyncio.timeout(60):
        await clock.idle.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return clock


async def test_weekly_recheck_finds_changes_without_a_serial(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The weekly recheck requests each project once, two a second at most, and finds changes that moved no serial."""
    publish(pypi, "alpha", "beta", "gamma")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("beta").archive()
        pypi.log.forget()
        early = await run_recheck(running, now=time.time() + EVERY_SECONDS - 60)
        before = requested_projects(pypi)
        due = await run_recheck(running, now=time.time() + EVERY_SECONDS + 60)
        runs = running.mirror.runs.running()

    assert (early.slept[:-1], before) == ([], [])
    assert requested_projects(pypi) == ["alpha", "beta", "gamma"]
    assert due.slept[:-1] == [0.5] * 3
    assert runs == []
    assert str(site.published("beta").page.status) == "archived"


async def test_paused_schedule_pauses_the_weekly_recheck(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """While the schedule is paused, the weekly recheck requests nothing."""
    publish(pypi, "alpha")
    site.everything()
    async with site.running() as running:
        await running.sync()
        running.mirror.catalog.remember(Fact.PAUSED, "yes")
        pypi.log.forget()
        await run_recheck(running, now=time.time() + EVERY_SECONDS + 60)

    assert requested_projects(pypi) == []


async def test_failure_in_the_weekly_recheck_is_recorded_and_retried(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that fails in the weekly recheck shows as failing, and a later sync retries it."""
    publish(pypi, "alpha", "beta")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.faults.on_page("beta").status(403).times(1)
        await run_recheck(running, now=time.time() + EVERY_SECONDS + 60)
        row = running.row("beta")
        metrics = running.mirror.metrics.exposition().decode()
        site.sql("UPDATE project SET due_at = 1 WHERE due_at IS NOT NULL")
        healed = await running.sync()

    assert (row.state, row.published) == (ProjectState.FAILING, True)
    assert 'pypi_mirror_projects{state="failing"} 1.0' in metrics
    assert (healed.state, healed.counts.projects_done) == (RunState.SUCCEEDED, 1)


async def test_weekly_recheck_during_an_outage_pauses(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The weekly recheck pauses for ten minutes while upstream is down, instead of requesting every project."""
    create_empty_projects(pypi, 60)
    site.everything()
    async with site.running(connections=4) as running:
        await running.sync()
        pypi.log.forget()
        pypi.faults.everywhere().status(503)
        clock = await run_recheck(running, now=time.time() + EVERY_SECONDS + 60)

    assert clock.slept[-1] == 600
    assert len(set(requested_projects(pypi))) < 40


@pytest.mark.parametrize("published", [True, False])
async def test_rebuilt_catalog_downloads_nothing_again(site: Site, pypi: fakepypi.FakePyPI, *, published: bool) -> None:
    """After the catalog is rebuilt from the pages, a sync downloads no published file again."""
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
