"""A kill at any moment leaves no page that names a missing file, and nothing that the next start does not put right."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process

import pytest
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import RunState
from mirror_syncer.model.names import Sha256
from mirror_syncer.volume.tree import _temporary_name
from syncer.dying import Fate, Nursery
from syncer.site import Site
from syncer.witness import Witness, retiring, upstream_of

NAMES = [f"project{number}" for number in range(8)]


async def die(site: Site, warm: Nursery, *, at: str) -> None:
    """Sync, and die just before that step."""
    life = await asyncio.to_thread(warm.live, "sync", environment=site.environment(), fate=Fate(at=at))
    assert life.killed, life.steps
    Witness().look(site)


async def start(site: Site) -> Process:
    """Start a sync in a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        "sync",
        env={"PATH": os.environ["PATH"], **site.environment()},
        stdout=DEVNULL,
        stderr=DEVNULL,
    )


async def test_file_in_place_without_its_page_is_not_fetched_again(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that was complete when the process died is hashed and used; it is not fetched a second time."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    pypi.faults.on_file("six-1.0.tar.gz").times(1).gate()
    process = await start(site)
    async with asyncio.timeout(20):
        while not list(site.web.glob("packages/*/*.whl")):  # noqa: ASYNC110 - the tree tells nobody
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    pypi.log.forget()

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert [path.rpartition("/")[2] for path in pypi.log.paths() if "packages" in path] == ["six-1.0.tar.gz"]
    site.assert_whole()


async def test_damaged_leftover_is_never_published(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What lies at a file's place after a power cut is hashed before it is believed."""
    release = pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    (file,) = release.files.values()
    place = site.web / "packages" / file.blake2b_256[:2] / file.filename
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half of it")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.content("six", file.filename) == file.content
    site.assert_whole()


async def test_terminated_sync_leaves_nothing_temporary(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """SIGTERM lets the current projects finish, or abandons them cleanly: no temporary is left, and no half page."""
    for name in NAMES:
        pypi.index.project(name).upload("1.0")
    site.select(*NAMES)
    gate = pypi.faults.on_file("project3-1.0.tar.gz").gate()
    process = await start(site)
    await gate.arrival()
    process.send_signal(signal.SIGTERM)
    gate.open()
    await process.wait()

    site.assert_whole()
    assert "project3" in site.pages()


@pytest.mark.proves("reliability/disk", "security/mistakes")
async def test_lost_catalog_is_made_anew(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A catalog lost over a full tree is rebuilt from its pages: nothing is deleted, nothing fetched twice."""
    for name in NAMES:
        pypi.index.project(name).upload("1.0")
    site.select(*NAMES)
    await site.sync()
    for path in site.state.iterdir():
        path.unlink()
    pypi.log.forget()

    run = await site.sync()

    assert (run.state, run.counts.files_fetched, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 0)
    assert not [path for path in pypi.log.paths() if "packages" in path]
    assert site.pages() == NAMES
    site.assert_whole()


@pytest.mark.proves("reliability/crash")
async def test_half_a_catalog_is_made_whole(site: Site, pypi: fakepypi.FakePyPI, warm: Nursery) -> None:
    """A schema is made in one transaction: killed in the middle of a first start, the next one begins anew."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await die(site, warm, at="commit INSERT INTO alembic_version")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    Witness().settled(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
async def test_quarantine_that_the_list_told_of_is_asked_after(
    site: Site, pypi: fakepypi.FakePyPI, warm: Nursery
) -> None:
    """A sync of everything that died after it had read a list asks after what that list was the first to lack."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.everything(grace="0m", guard="50%")
    await site.sync()
    pypi.index.project("six").quarantine()
    await die(site, warm, at="open /data/pypi/web/simple/six/.index.html.new")

    life = await asyncio.to_thread(warm.live, "sync", environment=site.environment())

    assert life.code == 0
    Witness().settled(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
@pytest.mark.parametrize("serials", [True, False], ids=["serials", "none"])
@pytest.mark.parametrize(
    "at",
    [
        "commit INSERT INTO pending",
        "open /data/pypi/web/simple/six/.index.html.new",
        "os.rename /data/pypi/web/simple/six/.index.v1_json.new",
        "commit UPDATE retired",
        "open /data/pypi/web/simple/.index.html.new",
    ],
    ids=["list", "page", "half", "row", "end"],
)
async def test_quarantine_outlives_newer_lists(
    site: Site, pypi: fakepypi.FakePyPI, warm: Nursery, *, at: str, serials: bool
) -> None:
    """A sync that died over a quarantine, and a newer list after it, leave the empty page: only a 404 takes it."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    if not serials:
        pypi.faults.everywhere().without_serials()
    site.everything(grace="0m", guard="100%")
    await site.sync()
    pypi.index.project("six").quarantine()
    await die(site, warm, at=at)
    pypi.index.project("toml").upload("1.1")

    for _ in range(2):
        await site.sync()

    Witness().settled(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
async def test_leftovers_leave_though_upstream_lists_nothing(
    site: Site, pypi: fakepypi.FakePyPI, warm: Nursery
) -> None:
    """Files that were brought and never published leave in their time, though upstream lists no project any more."""
    six = pypi.index.project("six")
    six.upload("1.0")
    pypi.faults.everywhere().without_serials()
    site.everything(grace="0m", guard="100%")
    await die(site, warm, at="os.mkdir /data/pypi/web/simple/.six.new")
    six.delete()
    await site.sync()
    assert retiring(site)
    site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")

    run = await site.sync()

    assert (run.state, retiring(site)) == (RunState.FAILED, set())
    assert not [path for path in site.web.rglob("packages/*/*") if path.is_file()]


@pytest.mark.proves("reliability/crash")
async def test_leftovers_outlive_a_policy_without_grace(site: Site, pypi: fakepypi.FakePyPI, warm: Nursery) -> None:
    """Files that were brought and not published when it died are there for the next sync, whatever the grace."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0m")
    await die(site, warm, at="os.mkdir /data/pypi/web/simple/.six.new")

    run = await site.sync()

    assert (run.state, run.counts.files_fetched, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 0)
    Witness().settled(site, upstream_of(pypi))


async def test_leftovers_that_were_published_stay(site: Site, pypi: fakepypi.FakePyPI, warm: Nursery) -> None:
    """What one death left to go, and the page names that the next one left without its row, is to go no more."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await die(site, warm, at="os.mkdir /data/pypi/web/simple/.six.new")
    await die(site, warm, at="commit UPDATE retired")
    assert site.pages() == ["six"]

    await site.sync()

    Witness().settled(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
async def test_first_page_of_what_nobody_wants_any_more_leaves(
    site: Site, pypi: fakepypi.FakePyPI, warm: Nursery
) -> None:
    """A page that became visible just before a kill is known, though its row never was, and so can be withdrawn."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", grace="0m")
    await die(site, warm, at="commit DELETE FROM pending")
    assert site.pages() == ["idna", "six"]
    site.select("idna", grace="0m")

    run = await site.sync(allow_removals=1)

    assert (run.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    Witness().settled(site, upstream_of(pypi, "idna"))


@pytest.mark.proves("reliability/crash")
async def test_change_that_was_taken_back_is_taken_back(site: Site, pypi: fakepypi.FakePyPI, warm: Nursery) -> None:
    """A page half published when it died goes back to what upstream has again, byte by byte as the validators say."""
    six = pypi.index.project("six")
    six.upload("1.0")
    pypi.faults.everywhere().without_serials()
    site.select("six", grace="0m")
    await site.sync()
    six.yank("1.0")
    await die(site, warm, at="os.rename /data/pypi/web/simple/six/.index.v1_json.new")
    six.unyank("1.0")

    await site.sync()

    Witness().settled(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
@pytest.mark.parametrize("uploads", [True, False], ids=["metadata", "empty"])
async def test_beginnings_of_what_is_no_more_leave(
    site: Site, pypi: fakepypi.FakePyPI, warm: Nursery, *, uploads: bool
) -> None:
    """Metadata whose file never came, and a first page without a file, go, though upstream has the project no more."""
    pypi.index.project("idna").upload("1.0")
    six = pypi.index.project("six").create()
    if uploads:
        six.upload("1.0", sdist=False)
        wheel = six.files[0]
        at = f"os.rename /data/pypi/web/packages/{wheel.blake2b_256[:2]}/{_temporary(wheel)}"
    else:
        at = "open /data/pypi/web/simple/.six.new/index.v1_json"
    site.select("six", "idna", grace="0m")
    await die(site, warm, at=at)
    six.delete()

    await site.sync()

    Witness().settled(site, upstream_of(pypi, "idna"))


def _temporary(file: fakepypi.File) -> str:
    return f".{_temporary_name(NormalizedName(file.project), file.filename, Sha256(file.sha256))}.part"
