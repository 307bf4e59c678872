"""A run that is cancelled ends within seconds, whatever upstream does, and nothing good is lost by it."""

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

PATIENT = Limits()  # as shipped: an upstream that hangs is given up after 150 s


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test wait a fifth of a second where an operator waits five."""
    monkeypatch.setattr(engine, "_CANCEL_SECONDS", 0.2)


async def cancelled(running: Running, run: Run) -> Run:
    """Cancel a run, and return it when it has ended, which it must within seconds."""
    active = running.mirror.runs.active(run.id)
    assert active is not None
    await running.mirror.engine.cancel(active)
    async with asyncio.timeout(4):
        return await running.ended(run)


async def staged(site: Site, size: int) -> None:
    """Wait until so much of a large file is on the disk; the tree tells nobody, so it is looked at."""
    async with asyncio.timeout(10):
        while sum(path.stat().st_size for path in (site.data / "pypi" / ".staging").iterdir()) < size:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def listed(site: Site) -> list[str]:
    """Return the projects that the list names."""
    document = json.loads((site.web / "simple" / "index.v1_json").read_bytes())
    return [project["name"] for project in document["projects"]]


@pytest.mark.proves("reliability/upstream")
async def test_pages_that_hang(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Projects whose pages hang are given up, and are as they were; what was done stays, and the next run does all."""
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
        ended = await cancelled(running, run)
        after, in_hand = running.row("old"), running.mirror.catalog.files.pending()
        for gate in gates:
            gate.open()
        again = await running.sync()

    assert (ended.state, ended.failures, ended.counts.projects_done) == (RunState.CANCELLED, [], 1)
    assert (after, in_hand) == (before, [])
    assert (again.state, again.counts.files_fetched) == (RunState.SUCCEEDED, 4)
    assert site.pages() == ["done", "hangs", "old"]
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_large_file_that_hangs(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The half of a large file that came is not fetched again, nor are its project's other files."""
    pypi.index.project("large").upload("1.0", padding=40_000_000)
    pypi.faults.on_file("large-1.0.tar.gz").times(1).drip(size=8_000_000, every=3_600)
    site.select("large")
    async with site.running(limits=PATIENT) as running:
        run = running.ask(RunKind.SYNC)
        await staged(site, 8_000_000)
        while not list((site.web / "packages").rglob("large-1.0-py3-none-any.whl")):  # noqa: ASYNC110 - as in staged
            await asyncio.sleep(0.01)  # a file has a name once it is whole
        ended = await cancelled(running, run)
        pypi.log.forget()
        again = await running.sync()

    assert (ended.state, again.state) == (RunState.CANCELLED, RunState.SUCCEEDED)
    files = {one.path.rpartition("/")[2]: one.headers.get("range") for one in pypi.log if "/packages/" in one.path}
    assert files == {"large-1.0.tar.gz": "bytes=8000000-"}
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_list_that_hangs(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync of everything whose list hangs ends, at its start as in its middle, and lists what it has published."""
    for name in ("hangs", "six"):
        pypi.index.project(name).upload("1.0")
    pages = pypi.faults.on_page("hangs").gate()
    first = pypi.faults.on_root().times(1).gate()
    site.everything()
    async with site.running(limits=PATIENT) as running:
        run = running.ask(RunKind.SYNC)
        await first.arrival()
        at_start = await cancelled(running, run)

        run = running.ask(RunKind.SYNC)
        await pages.arrival()
        await site.pages_become(["six"])
        again = pypi.faults.on_root().gate()
        running.ask(RunKind.SYNC)
        await again.arrival()
        in_the_middle = await cancelled(running, run)

    assert (at_start.state, in_the_middle.state) == (RunState.CANCELLED, RunState.CANCELLED)
    assert listed(site) == ["six"]


@asynccontextmanager
async def in_another_process(site: Site, pypi: fakepypi.FakePyPI) -> AsyncIterator[tuple[Running, Run]]:
    """Yield a run whose only work is a file that hangs, at a worker in a process of its own."""
    names = [f"project{number}" for number in range(24)]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    gate = pypi.faults.on_page().gate()
    async with site.running(limits=PATIENT, workers=2) as running:
        first = running.ask(RunKind.SYNC)
        async with asyncio.timeout(20):
            while len(running.mirror.worker_pool._active_jobs) < 2:  # noqa: ASYNC110 - it tells nobody
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
async def test_worker_process_lets_go(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A worker process gives up what hangs as the one worker here does, and goes on working."""
    async with in_another_process(site, pypi) as (running, run):
        workers = workers_of(os.getpid())
        ended = await cancelled(running, run)
        in_hand = running.mirror.catalog.files.pending()
        again = await running.sync()
        assert workers_of(os.getpid()) == workers

    assert (ended.state, again.state, in_hand) == (RunState.CANCELLED, RunState.SUCCEEDED, [])
    assert "project0-2.0.tar.gz" in site.filenames("project0")
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_worker_process_that_does_not_let_go(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs itself is ended: it could write later to what the project's next turn has in hand."""
    monkeypatch.setattr(process, "_EXIT_SECONDS", 0.5)
    async with in_another_process(site, pypi) as (running, run):
        (worker,) = workers_of(os.getpid())
        os.kill(worker, signal.SIGSTOP)
        ended = await cancelled(running, run)
        in_hand = running.mirror.catalog.files.pending()
        assert worker not in workers_of(os.getpid())
        again = await running.sync()

    assert (ended.state, again.state, in_hand) == (RunState.CANCELLED, RunState.SUCCEEDED, [])
    assert "project0-2.0.tar.gz" in site.filenames("project0")
    site.assert_whole()


async def test_what_is_nearly_done_is_done(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that upstream answers for within the grace is published."""
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
        await running.mirror.engine.cancel(active)  # whoever is impatient asks twice, which changes nothing
        gate.open()
        ended = await running.ended(run)

    assert (ended.state, ended.counts.projects_done) == (RunState.CANCELLED, 1)
    assert site.pages() == ["six"]
    site.assert_whole()


async def test_nothing_leaves(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A cancelled run withdraws nothing more, lists what is there, and spends nothing of the guard's."""
    for name in ("gone", "hangs"):
        pypi.index.project(name).upload("1.0")
    site.select("gone", "hangs")
    async with site.running(limits=PATIENT) as running:
        await running.sync()
        pypi.index.project("gone").delete()
        gate = pypi.faults.on_page("hangs").gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        async with asyncio.timeout(10):
            while run.counts.projects_done < 1:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        await cancelled(running, run)
        taken = DeletionGuard(running.mirror.catalog).recent()

    assert (site.pages(), listed(site), taken) == (["gone", "hangs"], ["gone", "hangs"], set())
