"""A full or broken disk of the catalog: the run fails with a remedy, and with free space the next recovers."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import Run, RunKind, RunState
from mirror_syncer.catalog import Catalog
from syncer.commands.test_cli import mirror_syncer
from syncer.mounts import fill, small_disk
from syncer.site import Site


@pytest.fixture
def small_state(site: Site) -> Iterator[Site]:
    """A mirror host whose catalog is on a disk of its own, of 4 MiB."""
    with small_disk(site.state, size=4 * 2**20):
        yield site


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("kind", list(RunKind))
async def test_full_state_disk_fails_the_run(
    small_state: Site, pypi: fakepypi.FakePyPI, kind: RunKind, logged: Callable[[], str]
) -> None:
    """A full state disk fails any run with the remedy and no traceback; with free space the next one succeeds."""
    pypi.index.project("six").upload("1.0")
    small_state.select("six")
    async with small_state.running() as running:
        await running.sync()
        pypi.index.project("six").upload("2.0")
        with fill(small_state.state):
            full = await running.ended(running.ask(kind))
            assert small_state.filenames("six") == {"six-1.0.tar.gz", "six-1.0-py3-none-any.whl"}
            small_state.assert_right()  # where the last room took the note of a page in hand, that waits with its note
        roomy = await running.sync()
        kept = running.mirror.catalog.runs.get(full.id)

    assert_told(full)
    assert "Traceback" not in logged()
    assert roomy.state is RunState.SUCCEEDED
    assert len(small_state.filenames("six")) == 4
    assert kept == full
    small_state.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_state_disk_filling_up_fails_the_run(small_state: Site, pypi: fakepypi.FakePyPI) -> None:
    """A state disk that fills up during a run fails it; the next run completes the project."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    small_state.select("idna", "six")
    gate = pypi.faults.on_page("six").times(1).gate()
    async with small_state.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        with fill(small_state.state):
            gate.open()
            full = await running.ended(run)
        roomy = await running.sync()

    assert_told(full)
    assert roomy.state is RunState.SUCCEEDED
    assert small_state.pages() == ["idna", "six"]
    small_state.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_state_disk_full_for_the_list_fails_the_run(small_state: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project list for which the state disk has no space fails the run with the remedy."""
    pypi.index.project("six").upload("1.0")
    small_state.everything()
    gate = pypi.faults.on_root().times(1).gate()
    async with small_state.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        with fill(small_state.state):
            gate.open()
            full = await running.ended(run)
        roomy = await running.sync()

    assert_told(full)
    assert roomy.state is RunState.SUCCEEDED
    assert small_state.pages() == ["six"]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize(
    ("command", "new"), [("serve", True), ("serve", False), ("sync", False), ("verify", False), ("plan", False)]
)
async def test_full_state_disk_ends_the_command(
    small_state: Site, pypi: fakepypi.FakePyPI, command: str, *, new: bool
) -> None:
    """A full state disk ends a command with one line and exit code 1, without requests or damage."""
    pypi.index.project("six").upload("1.0")
    small_state.select("six")
    if not new:
        assert (await mirror_syncer(small_state, "sync")).code == 0
    published = {path: path.read_bytes() for path in small_state.data.rglob("*") if path.is_file()}
    pypi.index.project("six").upload("2.0")
    pypi.log.forget()

    with fill(small_state.state):
        full = await mirror_syncer(small_state, command)
        asked = pypi.log.paths()
        kept = {path: path.read_bytes() for path in small_state.data.rglob("*") if path.is_file()}
    roomy = await mirror_syncer(small_state, "sync")

    assert (full.code, full.out, len(full.err.splitlines())) == (1, "", 1)
    assert full.err.startswith("error: the catalog cannot be written: ")
    assert "the disk of MIRROR_STATE" in full.err
    assert (asked, kept) == ([], published)
    assert roomy.code == 0
    assert len(small_state.filenames("six")) == 4
    small_state.assert_whole()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("leaving", [40_000, 64_000])
async def test_state_disk_full_for_the_first_write_ends_the_command(
    small_state: Site, pypi: fakepypi.FakePyPI, leaving: int
) -> None:
    """If the catalog opens but its first write finds no space, the command ends the same way."""
    pypi.index.project("six").upload("1.0")
    small_state.select("six")
    assert (await mirror_syncer(small_state, "sync")).code == 0
    pypi.index.project("six").upload("2.0")

    with fill(small_state.state, leaving=leaving):
        full = await mirror_syncer(small_state, "sync")
    roomy = await mirror_syncer(small_state, "sync")

    assert full.code == 1
    assert "free space on the disk of MIRROR_STATE" in full.err
    assert "Traceback" not in full.err
    assert roomy.code == 0
    assert len(small_state.filenames("six")) == 4


@pytest.mark.proves("reliability/host")
def test_commands_at_once_create_one_catalog(tmp_path: Path) -> None:
    """Of two that open a new catalog at once, such as the service and ``plan``, neither is refused."""
    with ThreadPoolExecutor(2) as threads:
        for number in range(20):
            at_once = threading.Barrier(2)

            def opened(url: str = f"sqlite:///{tmp_path / str(number)}", at_once: threading.Barrier = at_once) -> None:
                at_once.wait(60)
                Catalog(url).close()

            for opening in [threads.submit(opened) for _ in range(2)]:
                opening.result()


def assert_told(run: Run) -> None:
    """Assert that a run failed by its state disk, and says in one line what to do."""
    assert run.state is RunState.FAILED
    assert "free space on" in (run.message or "")
    assert "the disk of MIRROR_STATE" in (run.message or "")
    assert "\n" not in (run.message or "")
