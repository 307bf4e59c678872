"""An interrupted run resumes: no failure is forgotten, counted twice or reported as a success."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer.site import Running, Site

SDIST = "bad-1.0.tar.gz"

# Code that kills the process: between a group's pages and its rows, at a lost catalog's second page, at its first
# row, or before a file gets its name.
IN_COMMIT = """
from mirror_syncer.catalog import Catalog
commit = Catalog.commit
def die(self, updates, **more):
    if any(update.retirements for update in updates):
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self, updates, **more)
Catalog.commit = die
"""
IN_REBUILD = """
from mirror_syncer.publish import recovery
read, pages = recovery.find_published, iter(range(1, 99))
def die(volume, name):
    if next(pages) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(volume, name)
recovery.find_published = die
"""
IN_TAKE_OVER = """
from mirror_syncer.catalog.projects import Projects
Projects.store = lambda self, connection, rows: os.kill(os.getpid(), signal.SIGKILL)
"""

IN_PUBLISH_FILE = """
from mirror_syncer.volume import Incoming, tree
tree.MIN_STAGED_BYTES, tree.MAX_BUFFERED_BYTES = 1_000, 0
Incoming.publish_file = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
"""


async def start(site: Site, *, dying: str = "", **environment: str) -> Process:
    """Start `mirror-syncer sync` in a process of its own; ``dying`` is code that makes it kill itself."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import os, signal, sys\n{dying}\n"
        "from mirror_syncer.commands.cli import main\nsys.argv = ['', 'sync']\nmain()",
        env={"PATH": os.environ["PATH"], **site.environment(**environment)},
        stdout=PIPE,
        stderr=DEVNULL,
    )


async def run_killed_sync(site: Site, *, dying: str) -> None:
    """Run a sync that kills itself."""
    process = await start(site, dying=dying)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL


async def resume(running: Running, identifier: str) -> RunState:
    """Resume a run of an earlier engine, and return its state once it has ended."""
    running.mirror.runs.restore()
    run = running.mirror.runs.get(identifier)
    assert run is not None
    return (await running.ended(run)).state


async def test_failure_before_an_interruption_is_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that is interrupted after a file failed resumes, ends incomplete and names the failure."""
    for name in ("bad", "held"):
        pypi.index.project(name).upload("1.0")
    site.select("bad", "held")
    pypi.faults.on_file(SDIST).corrupt()
    gate = pypi.faults.on_file("held-1.0.tar.gz").times(1).gate()
    async with site.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        await site.pages_become(["bad"])
        running.mirror.engine.stop(grace_seconds=0)

    async with site.running() as running:
        state = await resume(running, run.id)
        ended = running.mirror.runs.get(run.id)

    assert ended is not None
    assert state is RunState.INCOMPLETE
    assert [failure.project for failure in ended.failures] == ["bad"]
    assert (ended.counts.projects_planned, ended.counts.projects_done, ended.counts.projects_partial) == (2, 2, 1)


async def test_interrupted_verify_counts_everything_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A resumed verify counts each project and each file once."""
    names = ["idna", "six", "toml"]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    await site.sync()
    (site.web / site.published("six").places["six-1.0.tar.gz"]).unlink()
    gate = pypi.faults.on_file("six-1.0.tar.gz").times(1).gate()
    async with site.running() as running:
        run = running.ask(RunKind.VERIFY, repair=True)
        await gate.arrival()
        running.mirror.engine.stop(grace_seconds=0)

    async with site.running() as running:
        state = await resume(running, run.id)
        ended = running.mirror.runs.get(run.id)

    assert ended is not None
    assert state is RunState.SUCCEEDED
    assert (ended.counts.projects_planned, ended.counts.projects_done, ended.counts.files_verified) == (3, 3, 6)
    site.assert_whole()


async def test_interrupted_sync_command_resumes_its_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync interrupted by SIGTERM exits with 1, and the same command resumes its run with the remaining projects."""
    names = ["alpha", "beta", "gamma", "omega"]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    gate = pypi.faults.on_page().times(1).gate()
    process = await start(site, MIRROR_CONNECTIONS="1")
    await gate.arrival()
    process.send_signal(signal.SIGTERM)
    gate.open()
    await process.communicate()
    assert process.returncode == 1
    done = site.pages()
    assert 0 < len(done) < len(names)
    pypi.log.forget()
    async with site.running() as running:
        (interrupted,) = running.mirror.catalog.runs.page()

    process = await start(site)
    out, _ = await process.communicate()

    run = json.loads(out)
    assert (process.returncode, run["id"], run["state"]) == (0, interrupted.id, "succeeded")
    # Pages that were finished in the run's first second are requested once more, with validators.
    assert all(one.headers.get("if-none-match") for name in done for one in pypi.log.to(f"/simple/{name}/"))
    assert not any(one.path.endswith(("-1.0.tar.gz", ".whl")) and name in one.path for name in done for one in pypi.log)
    assert site.pages() == names


@pytest.mark.parametrize("dying", [IN_REBUILD, IN_TAKE_OVER], ids=["reading", "writing"])
async def test_killed_catalog_rebuild_starts_over(site: Site, pypi: fakepypi.FakePyPI, dying: str) -> None:
    """A catalog rebuild that was killed starts over at the next start, from all pages."""
    names = ["idna", "six", "toml"]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    await site.sync()
    for path in site.state.iterdir():
        path.unlink()
    await run_killed_sync(site, dying=dying)
    pypi.log.forget()

    async with site.running() as running:
        rows = [(row.name, row.published) for row in running.mirror.catalog.projects.all_rows()]
        run = await running.sync()

    assert rows == [(name, True) for name in names]
    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 0)


async def test_quarantine_before_a_crash_removes_files_afterwards(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """If the syncer dies before it records a quarantine, the next run removes the quarantined files."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="24h")
    await site.sync()
    pypi.index.project("six").quarantine()
    await run_killed_sync(site, dying=IN_COMMIT)
    assert site.filenames("six") == set()
    assert [path for path in site.web.glob("packages/*/six-*") if path.is_file()]

    run = await site.sync()

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 2)
    assert not list(site.web.glob("packages/*/six-*"))


async def test_quarantined_page_with_an_invalid_entry_is_no_failure(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page with an invalid entry can still quarantine its project, and the run reports no failure."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    pypi.index.project("six").quarantine()
    pypi.faults.on_page("six").edit(lambda page: page["files"].append({"filename": "../x", "url": "x", "hashes": {}}))

    run = await site.sync()

    assert (run.state, run.counts.files_removed, run.failures) == (RunState.SUCCEEDED, 2, [])
    assert site.published("six").page.status == "quarantined"
    assert not list(site.web.glob("packages/*/six-*"))


@pytest.mark.proves("reliability/crash")
async def test_complete_large_file_after_a_kill_is_not_downloaded_again(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file that was complete when the syncer was killed is hashed and not downloaded again."""
    monkeypatch.setattr("mirror_syncer.volume.tree.MIN_STAGED_BYTES", 1_000)
    monkeypatch.setattr("mirror_syncer.volume.tree.MAX_BUFFERED_BYTES", 0)
    pypi.index.project("six").upload("1.0", wheel=False, padding=100_000)
    site.select("six")
    await run_killed_sync(site, dying=IN_PUBLISH_FILE)
    pypi.log.forget()

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert [path for path in pypi.log.paths() if path.endswith(".tar.gz")] == []
    site.assert_whole()
