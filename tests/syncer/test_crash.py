"""A kill at any moment leaves no page that names a missing file, and nothing that the next start does not put right."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.dying import Fate, Nursery, nursery
from syncer.site import Site
from syncer.witness import Witness, upstream_of

NAMES = [f"project{number}" for number in range(8)]


@pytest.fixture
def warm() -> Iterator[Nursery]:
    """Where processes come from that die at a step."""
    with nursery() as ready:
        yield ready


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


async def test_half_a_catalog_is_made_whole(site: Site, pypi: fakepypi.FakePyPI, warm: Nursery) -> None:
    """A schema is made in one transaction: killed in the middle of a first start, the next one begins anew."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await die(site, warm, at="commit INSERT INTO alembic_version")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    Witness().settled(site, upstream_of(pypi))
