"""A fault of one path costs only its own project: neither the run, nor the next start, nor other projects."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import ProjectState, RunState
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import Pending
from syncer.commands.test_cli import mirror_syncer
from syncer.old_mirror import OldMirror
from syncer.rights import ordinary
from syncer.site import Site

pytestmark = pytest.mark.proves("reliability/disk")

WHEEL = "six-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def nobody_special() -> Iterator[None]:
    """A syncer that file permissions restrict, even if root runs the tests; set before the loop starts any thread."""
    with ordinary():
        yield


@contextmanager
def in_place_of(path: Path) -> Iterator[None]:
    """Replace a file by a directory that is not empty: reading it is EISDIR, and so is removing it."""
    aside = path.parent.parent / "aside"
    path.rename(aside)
    path.mkdir()
    (path / "something").touch()
    try:
        yield
    finally:
        (path / "something").unlink()
        path.rmdir()
        aside.rename(path)


async def test_file_that_cannot_be_removed_costs_only_itself(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Each run names a file that it cannot remove and removes the others; it removes that file once it can."""
    six = pypi.index.project("six")
    for version in ("1.0", "2.0"):
        six.upload(version)
    site.select("six", grace="0m", guard="100%")
    async with site.running() as running:
        await running.sync()
        place = site.web / site.published("six").places[WHEEL]
        six.delete_release("1.0")
        with in_place_of(place):
            runs = [await running.sync(), await running.sync()]
            left = sorted(path.name for path in site.web.glob("packages/*/six-1.0*"))
            waiting = running.mirror.catalog.files.waiting_totals()
        healed = await running.sync()

    assert [run.state for run in runs] == [RunState.INCOMPLETE] * 2
    assert [[failure.file for failure in run.failures] for run in runs] == [[WHEEL]] * 2
    assert "Is a directory" in runs[0].failures[0].reason
    assert (runs[0].counts.files_removed, left) == (1, [WHEEL, f"{WHEEL}.metadata"])
    assert (waiting.files if waiting else 0) == 1
    assert (healed.state, healed.counts.files_removed) == (RunState.SUCCEEDED, 1)
    assert list(site.web.glob("packages/*/six-1.0*")) == []
    site.assert_whole()


async def test_start_continues_past_unreadable_leftovers(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Unreadable files that a crash left behind do not stop the next start, which removes them once it can."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", "six", grace="0m")
    await site.sync()
    stray = site.web / "packages/ab/six-0.9.tar.gz"
    stray.write_bytes(b"stray")
    async with site.running() as running:
        files = running.mirror.catalog.files
        files.claim([Pending(running.row("six").name, PackagePath("packages/ab/six-0.9.tar.gz"), Sha256("0" * 64))])
    stray.chmod(0)
    async with site.running() as running:
        run = await running.sync()
        waiting = running.mirror.catalog.files.waiting_totals()

    assert run.state is RunState.SUCCEEDED
    assert (waiting.files if waiting else 0) == 1
    site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
    assert (await site.sync()).state is RunState.SUCCEEDED
    assert not stray.exists()


@pytest.mark.parametrize("action", ["refresh", "withdraw", "recover", "rebuild"])
async def test_page_that_cannot_be_read_fails_its_project(site: Site, pypi: fakepypi.FakePyPI, action: str) -> None:
    """A project whose page cannot be read fails and stays as it is, others continue, and it recovers with its page."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", "six", grace="0m", guard="100%")
    await site.sync()
    pypi.index.project("idna").upload("2.0")
    pypi.index.project("six").upload("2.0")
    page = site.web / "simple/six/index.v1_json"
    if action == "withdraw":
        site.select("idna", grace="0m", guard="100%")
    if action == "recover":
        async with site.running() as running:
            running.mirror.catalog.files.claim([Pending.page(running.row("six").name)])
    if action == "rebuild":
        for path in site.state.iterdir():
            path.unlink()
    page.chmod(0)
    async with site.running() as running:
        run = await running.sync()
        row = running.row("six")
    page.chmod(0o644)

    assert run.state is RunState.INCOMPLETE
    assert [failure.project for failure in run.failures] == ["six"]
    assert f"{page} cannot be read: Permission denied" in run.failures[0].reason
    assert (row.state, row.error) == (ProjectState.FAILING, run.failures[0].reason)
    assert "idna-2.0.tar.gz" in site.filenames("idna")
    assert "six-2.0.tar.gz" not in site.filenames("six")
    site.select("idna", "six", grace="0m", guard="100%")
    assert (await site.sync("six")).state is RunState.SUCCEEDED
    assert "six-2.0.tar.gz" in site.filenames("six")
    site.assert_whole()


async def test_directory_at_a_files_path_costs_only_that_file(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A directory at a file's path costs only that file: its project is partial, another is current."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    (wheel,) = (file for file in pypi.index.project("six").files if file.filename == WHEEL)
    digits = wheel.path.split("/")[1]
    place = site.web / "packages" / digits / WHEEL
    (place / "something").mkdir(parents=True)
    site.select("idna", "six")
    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert [failure.file for failure in run.failures] == [WHEEL]
    assert site.filenames("six") == {"six-1.0.tar.gz"}
    assert site.pages() == ["idna", "six"]


async def test_unreadable_page_is_repaired(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Verify reports an unreadable page as damaged, and a repair rewrites it without downloading a file."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    site.select("idna", "six")
    await site.sync()
    (site.web / "simple/six/index.v1_json").chmod(0)
    async with site.running() as running:
        found = await running.verify()
        repaired = await running.verify(repair=True)
        again = await running.verify()

    assert [(failure.project, failure.reason[:10]) for failure in found.failures] == [("six", "unreadable")]
    assert (found.state, found.counts.files_verified) == (RunState.INCOMPLETE, 2)
    assert (repaired.state, repaired.counts.files_fetched) == (RunState.SUCCEEDED, 0)
    assert again.state is RunState.SUCCEEDED
    site.assert_whole()


async def test_directory_that_cannot_be_listed_hides_no_other_orphans(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Verify names a directory that it cannot list, and finds the orphans in the others."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0m")
    await site.sync()
    empty = next(path for path in site.web.glob("packages/*") if not any(path.iterdir()))
    other = next(path for path in site.web.glob("packages/*") if path != empty)
    (other / "six-0.9.tar.gz").write_bytes(b"stray")
    empty.chmod(0o333)
    async with site.running() as running:
        run = await running.verify()
    empty.chmod(0o755)

    assert (run.state, run.counts.files_orphaned) == (RunState.INCOMPLETE, 1)
    assert f"{empty} cannot be read" in run.failures[0].reason


async def test_file_that_cannot_be_linked_costs_only_itself(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that cannot be linked costs only itself: adoption takes the rest, and the next sync downloads the file."""
    old = OldMirror(site.web)
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0", wheel=False)
        old.write(pypi.index.project(name))
    (file,) = pypi.index.project("six").files
    short = site.web / "packages" / file.path.split("/")[1] / file.filename
    (short / "something").mkdir(parents=True)
    (site.web / file.path).rename(site.web / "elsewhere")
    (site.web / file.path).mkdir()
    site.select("idna", "six")
    adopted = await mirror_syncer(site, "adopt")

    assert adopted.code == 3
    assert site.filenames("idna") == {"idna-1.0.tar.gz"}


async def test_verify_whose_disk_disappears_fails(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the tree disappears during a verify, the run fails and says so, and reports no file as damaged."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync()
        trim, away = running.mirror.volume.trim_ballast, site.data / "unmounted"

        def unmount() -> None:
            trim()
            (site.data / "pypi").rename(away)

        monkeypatch.setattr(running.mirror.volume, "trim_ballast", unmount)  # after the check at the start of a run
        ended = await running.verify()
        away.rename(site.data / "pypi")

    assert ended.state is RunState.FAILED
    assert "is the disk mounted?" in (ended.message or "")
    assert ended.counts.files_damaged == 0
