"""Worker processes: they do what one process does, and what becomes of one is no other's loss."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState
from syncer.site import Site

PROJECTS = [f"project{number}" for number in range(12)]


@pytest.fixture
def many(pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """Upstream with a dozen projects of a wheel and an sdist each."""
    for name in PROJECTS:
        pypi.index.project(name).upload("1.0")
    return pypi


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"mirror_syncer.work" in Path(f"/proc/{child}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    """Return whether a process still does anything."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_processes_mirror_as_one_does(site: Site, many: fakepypi.FakePyPI) -> None:
    """Two processes besides our own bring every project, file and metadata; a second sync finds nothing to do."""
    site.select(*PROJECTS)
    async with site.running(workers=3) as running:
        assert len(workers_of(os.getpid())) == 2
        first = await running.sync()
        second = await running.sync()
    assert (first.state, first.counts.projects_changed) == (RunState.SUCCEEDED, len(PROJECTS))
    assert (second.state, second.counts.projects_changed, second.counts.files_fetched) == (RunState.SUCCEEDED, 0, 0)
    assert site.pages() == sorted(PROJECTS)
    site.assert_whole()
    assert workers_of(os.getpid()) == []


async def test_processes_share_the_connections(site: Site, many: fakepypi.FakePyPI) -> None:
    """However many processes there are, upstream never sees more connections than configured."""
    site.select(*PROJECTS)
    many.faults.everywhere().delay(0.01)
    async with site.running(workers=2, connections=5) as running:
        assert (await running.sync()).state is RunState.SUCCEEDED
    assert 2 <= many.log.peak <= 5


async def test_lost_worker_costs_what_it_had_in_hand(site: Site, many: fakepypi.FakePyPI) -> None:
    """A worker that is killed fails its projects with a reason; the next run starts another and brings them."""
    site.select(*PROJECTS)
    gate = many.faults.on_page(PROJECTS[0]).times(1).gate()
    async with site.running(workers=2) as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        os.kill(workers_of(os.getpid())[0], signal.SIGKILL)
        gate.open()
        failed = await running.ended(run)
        assert failed.state is RunState.INCOMPLETE
        assert 0 < failed.counts.projects_failed < len(PROJECTS)
        assert failed.failures[0].reason.startswith("its worker process ended")
        again = await running.sync()
        assert again.state is RunState.SUCCEEDED
        assert running.row(PROJECTS[0]).state is ProjectState.CURRENT
    assert site.pages() == sorted(PROJECTS)
    site.assert_whole()


async def test_errors_cross_the_wire(site: Site, many: fakepypi.FakePyPI) -> None:
    """A disk that says no to a worker ends the run with the disk's own words, as in one process."""
    site.select(*PROJECTS)
    async with site.running(workers=2, reserve=1.0) as running:
        run = await running.sync()
    assert run.state is RunState.FAILED
    assert "MIRROR_DISK_RESERVE" in (run.message or "")


async def test_kept_pages_cross_the_wire(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What a policy withheld is published from the kept page by a worker that knows no catalog, with no new page."""
    for version in ("1.0", "2.0"):
        pypi.index.project("six").upload(version)
    site.select("six<2")
    async with site.running(workers=2) as running:
        await running.sync()
        site.select("six")
        await running.sync()
    assert {"six-1.0.tar.gz", "six-2.0.tar.gz"} <= site.filenames("six")
    site.assert_whole()


async def test_workers_die_with_their_parent(site: Site, many: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """A parent that is killed leaves no worker that could write beside the next one."""
    site.select(*PROJECTS)
    gate = many.faults.on_page(PROJECTS[0]).times(1).gate()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mirror_syncer", "sync"),
        env=os.environ | site.environment(MIRROR_WORKERS="3"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    await gate.arrival()
    workers = workers_of(process.pid)
    assert len(workers) == 2
    process.kill()
    await process.wait()
    async with asyncio.timeout(5):
        while any(map(alive, workers)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    gate.open()
