"""The disk of the catalog, full or ill: the run fails and says what to do, and with room again the next is whole."""

from collections.abc import Iterator

import pytest

import fakepypi
from mirror_contract import Run, RunKind, RunState
from syncer.mounts import fill, small_disk
from syncer.site import Site


@pytest.fixture
def small_state(site: Site) -> Iterator[Site]:
    """A mirror host whose catalog is on a disk of its own, of 4 MiB."""
    with small_disk(site.state, size=4 * 2**20):
        yield site


@pytest.mark.parametrize("kind", list(RunKind))
async def test_full_state_fails_the_run(
    small_state: Site, pypi: fakepypi.FakePyPI, kind: RunKind, caplog: pytest.LogCaptureFixture
) -> None:
    """A full state disk fails any run with what to do and no traceback; with room the next is whole."""
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
    assert "Traceback" not in caplog.text
    assert roomy.state is RunState.SUCCEEDED
    assert len(small_state.filenames("six")) == 4
    assert kept == full
    small_state.assert_whole()


async def test_state_that_fills_up_in_the_middle(small_state: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where the state disk is full once a page was asked for, the run fails, and the next one brings the project."""
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


async def test_state_full_while_the_list_is_read(small_state: Site, pypi: fakepypi.FakePyPI) -> None:
    """A list of all projects for which the state disk has no room fails the run with what to do."""
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


def assert_told(run: Run) -> None:
    """Assert that a run failed by its state disk, and says in one line what to do."""
    assert run.state is RunState.FAILED
    assert "make room on" in (run.message or "")
    assert "the disk of MIRROR_STATE" in (run.message or "")
    assert "\n" not in (run.message or "")
