"""A cancelled run ends within seconds, whatever upstream does, and keeps everything good."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import fakepypi
from mirror_contract import Run, RunKind, RunState
from mirror_syncer.runs import engine
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.upstream import Limits
from mirror_syncer.work import process
from syncer.site import Running, Site
from syncer.work.test_pool import leave_it_to_the_process, workers_of

PATIENT = Limits()  # as shipped: a hanging request fails after 150 s


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the grace period of a cancelled run from five seconds to a fifth of a second."""
    monkeypatch.setattr(engine, "_CANCEL_SECONDS", 0.2)


async def cancel_run(running: Running, run: Run) -> Run:
    """Cancel a run, and return it once it has ended, long before a hanging request fails."""
    active = running.mirror.runs.active(run.id)
    assert active is not None
    await running.mirror.engine.cancel(active)
    async with asyncio.timeout(60):
        return await running.ended(run)


async def wait_until_staged(site: Site, size: int) -> None:
    """Wait until the staging directory holds this many bytes; it sends no events, so poll it."""
    async with asyncio.timeout(60):
        while sum(path.stat().st_size for path in (site.data / "pypi" / ".staging").iterdir()) < size:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def listed_projects(site: Site) -> list[str]:
    """Return the projects that the project list names."""
    document = json.loads((site.web / "simple" / "index.v1_json").read_bytes())
    return [project["name"] for project in document["projects"]]


@pytest.mark.proves("reliability/upstream")
async def test_cancel_during_hanging_pages_keeps_finished_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A cancel abandons projects whose pages hang and keeps finished ones, and the next run does the rest."""
    pypi.index.project("old").upload("1.0")
    site.select("old")
    async with site.running(limits=PATIENT) as running:
        await running.sync()
        for name in ("done", "hangs", "old"):
            pypi.index.project(name).upload("2.0")
        site.select("done", "hangs", "old")
        gates = [pypi.faults.on_page(name).gate() for name in ("hangs", "old")]
        run = running.ask(RunKind.SYNC)
        await asyncio.gather(*(gate.arrival() for gate in gates))
        await site.pages_become(["done", "old"])
        before = running.row("old")
        ended = await cancel_run(running, run)
        after, pending = running.row("old"), running.mirror.catalog.files.pending()
        for gate in gates:
            gate.open()
        again = await running.sync()

    assert (ended.state, ended.failures, ended.counts.projects_done) == (RunState.CANCELLED, [], 1)
    assert (after, pending) == (before, [])
    assert (again.state, again.counts.files_fetched) == (RunState.SUCCEEDED, 4)
    assert site.pages() == ["done", "hangs", "old"]
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_cancel_during_a_large_file_keeps_its_bytes(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """After a cancel, the next run resumes a half-downloaded large file and downloads no other file twice."""
    pypi.index.project("large").upload("1.0", padding=40_000_000)
    pypi.faults.on_file("large-1.0.tar.gz").times(1).drip(size=8_000_000, every=3_600)
    site.select("large")
    async with site.running(limits=PATIENT) as running:
        run = running.ask(RunKind.SYNC)
        await wait_until_staged(site, 8_000_000)
        while not list((site.web / "packages").rglob("large-1.0-py3-none-any.whl")):  # noqa: ASYNC110 - polls, too
            await asyncio.sleep(0.01)  # a file gets its name once it is complete
        ended = await cancel_run(running, run)
        pypi.log.forget()
        again = await running.sync()

    assert (ended.state, again.state) == (RunState.CANCELLED, RunState.SUCCEEDED)
    files = {one.path.rpartition("/")[2]: one.headers.get("range") for one in pypi.log if "/packages/" in one.path}
    assert files == {"large-1.0.tar.gz": "bytes=8000000-"}
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_cancel_during_a_hanging_list_keeps_published_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync of the whole index whose list hangs can be cancelled, and it lists the projects that it has published."""
    for name in ("hangs", "six"):
        pypi.index.project(name).upload("1.0")
    pages = pypi.faults.on_page("hangs").gate()
    first = pypi.faults.on_root().times(1).gate()
    site.everything()
    async with site.running(limits=PATIENT) as running:
        run = running.ask(RunKind.SYNC)
        await first.arrival()
        at_start = await cancel_run(running, run)

        run = running.ask(RunKind.SYNC)
        await pages.arrival()
        await site.pages_become(["six"])
        again = pypi.faults.on_root().gate()
        running.ask(RunKind.SYNC)
        await again.arrival()
        in_the_middle = await cancel_run(running, run)

    assert (at_start.state, in_the_middle.state) == (RunState.CANCELLED, RunState.CANCELLED)
    assert listed_projects(site) == ["six"]


@asynccontextmanager
async def hanging_in_a_worker_process(site: Site, pypi: fakepypi.FakePyPI) -> AsyncIterator[tuple[Running, Run]]:
    """Yield a run whose only task is a hanging download in a worker process."""
    names = [f"project{number}" for number in range(24)]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    gate = pypi.faults.on_page().gate()
    async with site.running(limits=PATIENT, workers=2) as running:
        first = running.ask(RunKind.SYNC)
        async with asyncio.timeout(60):
            while len(running.mirror.worker_pool._active_jobs) < 2:  # noqa: ASYNC110 - sends no events
                await asyncio.sleep(0.01)
        gate.open()
        await running.ended(first)
        leave_it_to_the_process(running)
        pypi.index.project("project0").upload("2.0")
        gate = pypi.faults.on_file("project0-2.0.tar.gz").times(1).gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        yield running, run


@pytest.mark.proves("reliability/upstream")
async def test_worker_process_at_a_cancel_drops_its_job(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A worker process drops a hanging job when its run is cancelled, and keeps running."""
    async with hanging_in_a_worker_process(site, pypi) as (running, run):
        workers = workers_of(os.getpid())
        ended = await cancel_run(running, run)
        pending = running.mirror.catalog.files.pending()
        again = await running.sync()
        assert workers_of(os.getpid()) == workers

    assert (ended.state, again.state, pending) == (RunState.CANCELLED, RunState.SUCCEEDED, [])
    assert "project0-2.0.tar.gz" in site.filenames("project0")
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_hanging_worker_process_at_a_cancel_is_killed(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel kills a hanging worker process, so that it cannot write to the project later."""
    monkeypatch.setattr(process, "_EXIT_SECONDS", 0.5)
    async with hanging_in_a_worker_process(site, pypi) as (running, run):
        (worker,) = workers_of(os.getpid())
        os.kill(worker, signal.SIGSTOP)
        ended = await cancel_run(running, run)
        pending = running.mirror.catalog.files.pending()
        assert worker not in workers_of(os.getpid())
        again = await running.sync()

    assert (ended.state, again.state, pending) == (RunState.CANCELLED, RunState.SUCCEEDED, [])
    assert "project0-2.0.tar.gz" in site.filenames("project0")
    site.assert_whole()


async def test_project_finished_within_the_grace_period_is_published(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled run still publishes a project whose files arrive within the grace period."""
    monkeypatch.setattr(engine, "_CANCEL_SECONDS", 20)
    pypi.index.project("six").upload("1.0")
    site.select("six")
    gate = pypi.faults.on_file("six-1.0.tar.gz").gate()
    async with site.running(limits=PATIENT) as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        active = running.mirror.runs.active(run.id)
        assert active is not None
        await running.mirror.engine.cancel(active)
        await running.mirror.engine.cancel(active)  # a second cancel changes nothing
        gate.open()
        ended = await running.ended(run)

    assert (ended.state, ended.counts.projects_done) == (RunState.CANCELLED, 1)
    assert site.pages() == ["six"]
    site.assert_whole()


async def test_cancelled_run_removes_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A cancelled run withdraws no project, lists all that are there, and records no removal for the guard."""
    for name in ("gone", "hangs"):
        pypi.index.project(name).upload("1.0")
    site.select("gone", "hangs")
    async with site.running(limits=PATIENT) as running:
        await running.sync()
        pypi.index.project("gone").delete()
        gate = pypi.faults.on_page("hangs").gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        async with asyncio.timeout(60):
            while run.counts.projects_done < 1:  # noqa: ASYNC110 - sends no events
                await asyncio.sleep(0.01)
        await cancel_run(running, run)
        recent_removals = DeletionGuard(running.mirror.catalog).recent()

    assert (site.pages(), listed_projects(site), recent_removals) == (["gone", "hangs"], ["gone", "hangs"], set())
