"""Permissions lost during a run: they affect only what they concern, with a remedy; restored, all recovers."""

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import Run, RunKind, RunState
from mirror_syncer.errors import MirrorError
from syncer.rights import ordinary
from syncer.site import Site

pytestmark = pytest.mark.proves("reliability/disk")

READ, WRITE = 0o444, 0o222
METADATA = "six-1.0-py3-none-any.whl.metadata"  # which leaves with its file


@pytest.fixture(autouse=True)
def nobody_special() -> Iterator[None]:
    """A syncer that permissions hold back, also where tests are root's; before the loop starts any thread."""
    with ordinary():
        yield


@contextmanager
def without(rights: int, *paths: Path) -> Iterator[None]:
    """Take rights away from owner, group and others of files or directories."""
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~rights)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize(
    ("lost", "place", "state"),
    [
        pytest.param(WRITE, "simple/new", RunState.INCOMPLETE, id="a page"),
        pytest.param(READ | WRITE, "simple/new/index.*", RunState.INCOMPLETE, id="a page's content"),
        pytest.param(WRITE, "packages/*", RunState.INCOMPLETE, id="files"),
        pytest.param(WRITE, "simple", RunState.FAILED, id="pages"),
        pytest.param(WRITE, "../.staging", RunState.FAILED, id="large files"),
    ],
)
async def test_permissions_lost_during_a_run_are_reported(
    site: Site, pypi: fakepypi.FakePyPI, lost: int, place: str, *, state: RunState, logged: Callable[[], str]
) -> None:
    """
    Once a page was asked for the right goes: the run names place and remedy, and what is published stays whole.

    Where it is one project's, that project fails; where everything lies there, the run does.
    """
    for name in ("idna", "new"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", *(["new"] if place.startswith("simple/") else []))
    async with site.running() as running:
        await running.sync()
        site.select("idna", "new")
        pypi.index.project("new").upload("2.0", sdist=False, padding=33 * 2**20 if "staging" in place else 0)
        gate = pypi.faults.on_page("new").times(1).gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        before = site.pages(), site.filenames("idna")
        with without(lost, *site.web.glob(place)):
            gate.open()
            refused = await running.ended(run)
        after = site.pages(), site.filenames("idna")
        site.assert_whole()
        mended = await running.sync()

    assert_told(refused, state)
    assert "Traceback" not in logged()
    assert after == before
    assert mended.state is RunState.SUCCEEDED
    assert (site.pages(), len(site.filenames("new"))) == (["idna", "new"], 3)
    site.assert_whole()


async def test_forbidden_removal_is_retried(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that must not be removed leaves its page at once, and the tree once permissions allow it."""
    six = pypi.index.project("six")
    for version in ("1.0", "2.0"):
        six.upload(version)
    site.select("six", grace="0h", guard="100%")
    async with site.running() as running:
        await running.sync()
        leaving = [path for path in site.web.glob("packages/*/*") if "1.0" in path.name]
        six.delete_release("1.0")
        with without(WRITE, *site.web.glob("packages/*")):
            refused = await running.sync()
        named = site.filenames("six")
        there = [path.exists() for path in leaving]
        mended = await running.sync()

    assert_told(refused, RunState.INCOMPLETE)
    assert {failure.file for failure in refused.failures} == {path.name for path in leaving} - {METADATA}
    assert not [name for name in named if "1.0" in name]
    assert all(there)
    assert mended.state is RunState.SUCCEEDED
    assert not [path for path in leaving if path.exists()]
    site.assert_whole()


async def test_verify_reports_unreadable_files(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Only the unreadable file counts as damaged; a repair downloads it again."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync()
        (file,) = site.web.glob("packages/*/six-1.0.tar.gz")
        file.chmod(0o200)
        found = await running.verify()
        repaired = await running.verify(repair=True)
        mended = await running.verify()

    assert (found.state, found.counts.files_verified, found.counts.files_damaged) == (RunState.INCOMPLETE, 2, 1)
    assert [(failure.file, "unreadable" in failure.reason) for failure in found.failures] == [(file.name, True)]
    assert (repaired.state, repaired.counts.files_fetched) == (RunState.SUCCEEDED, 1)
    assert mended.state is RunState.SUCCEEDED
    site.assert_whole()


async def test_read_only_catalog_stops_the_start(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A read-only catalog stops the start with the name of its setting; with permissions restored, nothing is lost."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    with without(WRITE, site.state, *site.state.iterdir()), pytest.raises(MirrorError, match="MIRROR_STATE"):
        await site.sync()
    mended = await site.sync()

    assert mended.state is RunState.SUCCEEDED
    assert site.pages() == ["six"]


def assert_told(run: Run, state: RunState) -> None:
    """Assert that a run, or something in it, failed by permissions, and says in one line what to do."""
    assert run.state is state
    told = [run.message or "", *(failure.reason for failure in run.failures)]
    # Other mirrors beside pypi/ keep their owners.
    assert any(
        re.search("Permission denied; on the host: chown -R [^;]* the directory pypi/ in MIRROR_DATA", line)
        for line in told
    )
    assert not any("\n" in line for line in told)
