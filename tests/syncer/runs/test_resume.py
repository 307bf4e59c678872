"""What broke off goes on as what it was: nothing is forgotten, counted twice, or called a success by accident."""

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

# Death at a chosen moment: between a group's pages and its rows, at a lost catalog's second page, or at its first row.
IN_SETTLE = """
from mirror_syncer.catalog import Catalog
settle = Catalog.settle
def die(self, settlements, **more):
    if any(settlement.retirements for settlement in settlements):
        os.kill(os.getpid(), signal.SIGKILL)
    settle(self, settlements, **more)
Catalog.settle = die
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
tree._STAGED_FROM, tree._GATHERED_TO = 1_000, 0
Incoming.publish_file = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
"""


async def start(site: Site, *, dying: str = "", **environment: str) -> Process:
    """Start `mirror-syncer sync` in a process of its own, which may be told when to die."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import os, signal, sys\n{dying}\n"
        "from mirror_syncer.commands.cli import main\nsys.argv = ['', 'sync']\nmain()",
        env={"PATH": os.environ["PATH"], **site.environment(**environment)},
        stdout=PIPE,
        stderr=DEVNULL,
    )


async def killed(site: Site, *, dying: str) -> None:
    """Run a sync that dies when it is told to."""
    process = await start(site, dying=dying)
    await process.communicate()
    assert process.returncode == -signal.SIGKILL


async def resumed(running: Running, identifier: str) -> RunState:
    """Take up what an earlier engine left, and return how the run ended."""
    running.mirror.runs.restore()
    run = running.mirror.runs.get(identifier)
    assert run is not None
    return (await running.ended(run)).state


async def test_failure_before_a_kill_is_not_forgotten(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run killed after one of its files failed does not end as succeeded, and names the failure again."""
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
        state = await resumed(running, run.id)
        ended = running.mirror.runs.get(run.id)

    assert ended is not None
    assert state is RunState.INCOMPLETE
    assert [failure.project for failure in ended.failures] == ["bad"]
    assert (ended.counts.projects_planned, ended.counts.projects_done, ended.counts.projects_partial) == (2, 2, 1)


async def test_interrupted_verify_counts_everything_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A verify that went on after a stop has looked at each file and each project once, by its own account."""
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
        state = await resumed(running, run.id)
        ended = running.mirror.runs.get(run.id)

    assert ended is not None
    assert state is RunState.SUCCEEDED
    assert (ended.counts.projects_planned, ended.counts.projects_done, ended.counts.files_verified) == (3, 3, 6)
    site.assert_whole()


async def test_same_command_goes_on(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync interrupted by SIGTERM ends with 1; the same command goes on as the same run, and asks for the rest."""
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
    # Of what was done within the second in which the run began, the page is asked for once more, and not sent again.
    assert all(one.headers.get("if-none-match") for name in done for one in pypi.log.to(f"/simple/{name}/"))
    assert not any(one.path.endswith(("-1.0.tar.gz", ".whl")) and name in one.path for name in done for one in pypi.log)
    assert site.pages() == names


@pytest.mark.parametrize("dying", [IN_REBUILD, IN_TAKE_OVER], ids=["reading", "writing"])
async def test_killed_rebuild_is_done_again(site: Site, pypi: fakepypi.FakePyPI, dying: str) -> None:
    """A catalog that was being made anew when the process died is made anew by the next, whole, from the pages."""
    names = ["idna", "six", "toml"]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    await site.sync()
    for path in site.state.iterdir():
        path.unlink()
    await killed(site, dying=dying)
    pypi.log.forget()

    async with site.running() as running:
        rows = [(row.name, row.published) for row in running.mirror.catalog.projects.every()]
        run = await running.sync()

    assert rows == [(name, True) for name in names]
    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 0)


async def test_quarantine_holds_through_a_crash(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Files of a quarantined page leave in the next start's first run, though the process died before its row."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="24h")
    await site.sync()
    pypi.index.project("six").quarantine()
    await killed(site, dying=IN_SETTLE)
    assert site.filenames("six") == set()
    assert [path for path in site.web.glob("packages/*/six-*") if path.is_file()]

    run = await site.sync()

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 2)
    assert not list(site.web.glob("packages/*/six-*"))


async def test_quarantine_holds_with_a_refused_entry(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A quarantined page that names something unusable, too, is a quarantine all the same, and no failure."""
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
async def test_large_file_that_was_whole(site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file that had arrived whole when it died, but had no name yet, is hashed and not asked for again."""
    monkeypatch.setattr("mirror_syncer.volume.tree._STAGED_FROM", 1_000)
    monkeypatch.setattr("mirror_syncer.volume.tree._GATHERED_TO", 0)
    pypi.index.project("six").upload("1.0", wheel=False, padding=100_000)
    site.select("six")
    await killed(site, dying=IN_PUBLISH_FILE)
    pypi.log.forget()

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert [path for path in pypi.log.paths() if path.endswith(".tar.gz")] == []
    site.assert_whole()
