"""A kill at any moment leaves no page that names a missing file, and the next start repairs the rest."""

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
from mirror_syncer.volume.tree import temporary_name
from syncer.checker import MirrorChecker, retired_places, upstream_of
from syncer.crash_injection import CrashPoint, ForkServer
from syncer.databases import ON_BOTH
from syncer.site import Site

NAMES = [f"project{number}" for number in range(8)]


async def crash(site: Site, fork_server: ForkServer, *, at: str) -> None:
    """Sync, and get killed just before that step."""
    result = await asyncio.to_thread(
        fork_server.run, "sync", environment=site.environment(), crash_point=CrashPoint(at=at)
    )
    assert result.killed, result.steps
    MirrorChecker().check(site)


async def start(site: Site) -> Process:
    """Start a sync in its own process."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mirror_syncer",
        "sync",
        env={"PATH": os.environ["PATH"], **site.environment()},
        stdout=DEVNULL,
        stderr=DEVNULL,
    )


@ON_BOTH
async def test_complete_file_of_a_killed_sync_is_not_downloaded_again(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The next sync hashes and keeps a file that was complete when the process died; it does not download it again."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    pypi.faults.on_file("six-1.0.tar.gz").times(1).gate()
    process = await start(site)
    async with asyncio.timeout(60):
        while not list(site.web.glob("packages/*/*.whl")):  # noqa: ASYNC110 - the tree has no events
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    pypi.log.forget()

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert [path.rpartition("/")[2] for path in pypi.log.paths() if "packages" in path] == ["six-1.0.tar.gz"]
    site.assert_whole()


@ON_BOTH
async def test_damaged_leftover_after_a_power_cut_is_never_published(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The syncer hashes a file that a power cut left behind before it publishes it."""
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
    """SIGTERM lets the current projects finish or cancels them cleanly: no temporary file and no partial page stays."""
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
async def test_lost_catalog_is_rebuilt_from_the_tree(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The syncer rebuilds a lost catalog from the pages of the tree; it deletes nothing and downloads nothing twice."""
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
@ON_BOTH
async def test_schema_of_a_killed_first_start_is_created_again(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer
) -> None:
    """One transaction creates the schema, so the start after a killed first start creates it again from scratch."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await crash(site, fork_server, at="commit INSERT INTO alembic_version")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    MirrorChecker().check_final_state(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
@ON_BOTH
async def test_quarantine_seen_only_by_a_killed_sync_is_checked(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer
) -> None:
    """A sync killed after it read the list does not hide a quarantine: the next sync checks the missing project."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.everything(grace="0m", guard="50%")
    await site.sync()
    pypi.index.project("six").quarantine()
    await crash(site, fork_server, at="open /data/pypi/web/simple/six/.index.html.new")

    result = await asyncio.to_thread(fork_server.run, "sync", environment=site.environment())

    assert result.code == 0
    MirrorChecker().check_final_state(site, upstream_of(pypi))


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
@ON_BOTH
async def test_quarantine_of_a_killed_sync_keeps_its_empty_page(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer, *, at: str, serials: bool
) -> None:
    """The empty page of a quarantine survives a killed sync and a newer list; only a 404 removes it."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    if not serials:
        pypi.faults.everywhere().without_serials()
    site.everything(grace="0m", guard="100%")
    await site.sync()
    pypi.index.project("six").quarantine()
    await crash(site, fork_server, at=at)
    pypi.index.project("toml").upload("1.1")

    for _ in range(2):
        await site.sync()

    MirrorChecker().check_final_state(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
@ON_BOTH
async def test_unpublished_leftovers_are_removed_though_upstream_lists_nothing(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer
) -> None:
    """Downloaded files that were never published are removed when due, even if upstream lists no projects any more."""
    six = pypi.index.project("six")
    six.upload("1.0")
    pypi.faults.everywhere().without_serials()
    site.everything(grace="0m", guard="100%")
    await crash(site, fork_server, at="os.mkdir /data/pypi/web/simple/.six.new")
    six.delete()
    await site.sync()
    assert retired_places(site)
    site.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")

    run = await site.sync()

    assert (run.state, retired_places(site)) == (RunState.FAILED, set())
    assert not [path for path in site.web.rglob("packages/*/*") if path.is_file()]


@pytest.mark.proves("reliability/crash")
@ON_BOTH
async def test_unpublished_leftovers_survive_a_policy_without_grace(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer
) -> None:
    """The next sync reuses files that a killed sync downloaded but did not publish, even with a grace period of 0."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0m")
    await crash(site, fork_server, at="os.mkdir /data/pypi/web/simple/.six.new")

    run = await site.sync()

    assert (run.state, run.counts.files_fetched, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 0)
    MirrorChecker().check_final_state(site, upstream_of(pypi))


@ON_BOTH
async def test_leftovers_that_a_page_names_stay(site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer) -> None:
    """A file marked for removal after one kill stays if the next killed sync has published a page that names it."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await crash(site, fork_server, at="os.mkdir /data/pypi/web/simple/.six.new")
    await crash(site, fork_server, at="commit UPDATE retired")
    assert site.pages() == ["six"]

    await site.sync()

    MirrorChecker().check_final_state(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
@ON_BOTH
async def test_first_page_of_a_deselected_project_is_withdrawn(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer
) -> None:
    """The syncer knows of a page published just before a kill, without its catalog row, and can withdraw it."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", grace="0m")
    await crash(site, fork_server, at="commit DELETE FROM pending")
    assert site.pages() == ["idna", "six"]
    site.select("idna", grace="0m")

    run = await site.sync(allow_removals=1)

    assert (run.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    MirrorChecker().check_final_state(site, upstream_of(pypi, "idna"))


@pytest.mark.proves("reliability/crash")
@ON_BOTH
async def test_half_published_change_that_upstream_reverts_is_reverted(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer
) -> None:
    """A page half published at a kill returns to upstream's content, byte for byte, and its validators match it."""
    six = pypi.index.project("six")
    six.upload("1.0")
    pypi.faults.everywhere().without_serials()
    site.select("six", grace="0m")
    await site.sync()
    six.yank("1.0")
    await crash(site, fork_server, at="os.rename /data/pypi/web/simple/six/.index.v1_json.new")
    six.unyank("1.0")

    await site.sync()

    MirrorChecker().check_final_state(site, upstream_of(pypi))


@pytest.mark.proves("reliability/crash")
@pytest.mark.parametrize("uploads", [True, False], ids=["metadata", "empty"])
@ON_BOTH
async def test_unfinished_first_publication_of_a_deleted_project_is_removed(
    site: Site, pypi: fakepypi.FakePyPI, fork_server: ForkServer, *, uploads: bool
) -> None:
    """Metadata without its file and a first page without files are removed if upstream has deleted the project."""
    pypi.index.project("idna").upload("1.0")
    six = pypi.index.project("six").create()
    if uploads:
        six.upload("1.0", sdist=False)
        wheel = six.files[0]
        at = f"os.rename /data/pypi/web/packages/{wheel.blake2b_256[:2]}/{_temporary(wheel)}"
    else:
        at = "open /data/pypi/web/simple/.six.new/index.v1_json"
    site.select("six", "idna", grace="0m")
    await crash(site, fork_server, at=at)
    six.delete()

    await site.sync()

    MirrorChecker().check_final_state(site, upstream_of(pypi, "idna"))


def _temporary(file: fakepypi.File) -> str:
    return f".{temporary_name(NormalizedName(file.project), file.filename, Sha256(file.sha256))}.part"
