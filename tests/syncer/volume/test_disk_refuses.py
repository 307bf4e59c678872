"""A disk that refuses writes: a run fails with a remedy, published files stay, and the next run recovers."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer import mounts
from syncer.commands.test_cli import mirror_syncer
from syncer.site import Site


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI) -> Iterator[Site]:
    """A host with one project to mirror, whose data are on a disk of their own."""
    pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    with mounts.small_disk(site.data, size=16 * 2**20, inodes=4_000):
        yield site


@contextmanager
def no_inodes(directory: Path) -> Iterator[None]:
    """Use up a disk's inodes."""
    (directory / "ubuntu").mkdir()
    for number in range(os.statvfs(directory).f_favail):
        (directory / "ubuntu" / str(number)).touch()
    try:
        yield
    finally:
        for path in (directory / "ubuntu").iterdir():
            path.unlink()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize(
    ("refusing", "remedy"),
    [
        pytest.param(mounts.read_only, "repair or replace the disk, and remount it", id="read-only"),
        pytest.param(no_inodes, "grow the file system", id="no inodes"),
    ],
)
async def test_disk_failing_during_a_run_fails_the_run(
    six: Site,
    pypi: fakepypi.FakePyPI,
    refusing: Callable[[Path], AbstractContextManager[None]],
    remedy: str,
    logged: Callable[[], str],
) -> None:
    """A disk that refuses writes during a run fails that run; once repaired, the next run succeeds."""
    async with six.running() as running:
        await running.sync()
        pypi.index.project("six").upload("2.0", sdist=False)
        gate = pypi.faults.on_page("six").times(1).gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        with refusing(six.data):
            gate.open()
            refused = await running.ended(run)
            assert six.filenames("six") == {"six-1.0-py3-none-any.whl"}
            six.assert_right()  # where nothing can be removed, the half-written status file stays, too
        mended = await running.sync()

    assert refused.state is RunState.FAILED
    assert remedy in (refused.message or "")
    assert "\n" not in (refused.message or "")
    assert "Traceback" not in logged()
    assert mended.state is RunState.SUCCEEDED
    assert len(six.filenames("six")) == 2
    six.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_read_only_disk_ends_the_command(six: Site) -> None:
    """A read-only disk ends the command with one line and exit code 1; once writable, the next one succeeds."""
    with mounts.read_only(six.data):
        refused = await mirror_syncer(six, "sync")
    mended = await mirror_syncer(six, "sync")

    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert "Read-only file system; check the kernel log, repair or replace the disk, and remount it" in refused.err
    assert mended.code == 0
    six.assert_whole()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sync", "is the disk mounted?"),
        ("verify", "is the disk mounted?"),
        ("plan", "is the disk mounted?"),
        ("adopt", "Mount the tree"),
    ],
)
async def test_unmounted_disk_ends_every_command(site: Site, pypi: fakepypi.FakePyPI, command: str, words: str) -> None:
    """With an unmounted disk every command ends with one line, sends no request and creates nothing."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    (site.data / "pypi").rename(site.data.parent / "unmounted")
    pypi.log.forget()

    refused = await mirror_syncer(site, command)

    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert words in refused.err
    assert (list(site.data.iterdir()), pypi.log.paths()) == ([], [])


@pytest.mark.proves("reliability/disk")
async def test_copy_without_hidden_files_names_the_missing_one(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A tree copied by `cp -r pypi/*` is refused with the name of the missing file; with it, nothing is downloaded."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    old = site.data.with_name("old")
    site.data.rename(old)
    shutil.copytree(old / "pypi/web", site.data / "pypi/web")
    pypi.log.forget()

    refused = await mirror_syncer(site, "sync")
    shutil.copy(old / "pypi/.mirror-id", site.data / "pypi")
    accepted = await mirror_syncer(site, "sync")

    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert "copy `pypi/.mirror-id` from the old tree" in refused.err
    assert accepted.code == 0
    assert [path for path in pypi.log.paths() if "/packages/" in path] == []
