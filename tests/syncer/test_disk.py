"""A disk that is full, absent or ill ends the run with what to do, and the run after it is none the worse."""

import asyncio
from collections.abc import Iterator

import pytest

import fakepypi
from fakepypi.pages import Document
from mirror_contract import ProjectState, RunKind, RunState
from syncer import mounts
from syncer.mounts import fill
from syncer.site import Site

MEGABYTES = 2**20
DISK_BYTES = 4 * MEGABYTES
RESERVE = 0.25


@pytest.fixture
def small_disk(site: Site) -> Iterator[Site]:
    """A mirror host whose data are on a disk of 4 MiB, a quarter of which stays free."""
    with mounts.small_disk(site.data, size=DISK_BYTES):
        yield site


async def test_full_disk_fails_the_run_and_recovers(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where the reserve is reached the run fails and says what to do; with room again, the next one brings the rest."""
    pypi.index.project("six").upload("1.0")
    small_disk.select("six", "large")
    pypi.index.project("large").upload("1.0", sdist=False, padding=1_000_000)
    async with small_disk.running(reserve=RESERVE) as running:
        await running.sync("six")
        with fill(small_disk.data, leaving=DISK_BYTES // 4 - 1):
            full = await running.sync()
        roomy = await running.sync()

    assert full.state is RunState.FAILED
    assert "grow the disk, or select less in mirror.toml" in (full.message or "")
    assert roomy.state is RunState.SUCCEEDED
    assert small_disk.pages() == ["large", "six"]
    small_disk.assert_whole()


async def test_disk_that_fills_up_within_a_file(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where the last byte goes in the middle of a file, it leaves nothing behind, and the run says what to do."""
    pypi.index.project("large").upload("1.0", sdist=False, padding=1_000_000)
    small_disk.select("large")
    pypi.faults.on_page().edit_files(size=None)  # so that nobody can look ahead
    async with small_disk.running() as running:
        with fill(small_disk.data, leaving=500_000):
            full = await running.sync()
            left = list(small_disk.temporaries())
        roomy = await running.sync()

    assert full.state is RunState.FAILED
    assert "No space left on device; grow the disk, or select less" in (full.message or "")
    assert left == []
    assert roomy.state is RunState.SUCCEEDED
    small_disk.assert_whole()


async def test_disk_full_to_the_last_byte(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where nothing at all is free, that is the disk's fault, and no project's that merely claims a size."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0")
    small_disk.select("idna", "six")
    async with small_disk.running() as running:
        await running.sync("idna")
        with fill(small_disk.data):
            run = await running.sync()
            small_disk.assert_whole()
        roomy = await running.sync()

    assert run.state is RunState.FAILED
    assert "grow the disk" in (run.message or "")
    assert roomy.state is RunState.SUCCEEDED
    assert small_disk.pages() == ["idna", "six"]
    small_disk.assert_whole()


async def test_removal_makes_room(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """Beyond the reserve removals still happen, and first: what they free is there for the same run's downloads."""
    for name in ("large", "large-too"):
        pypi.index.project(name).upload("1.0", sdist=False, padding=1_000_000)
    small_disk.select("large", grace="0h")
    async with small_disk.running(reserve=RESERVE) as running:
        await running.sync()
        small_disk.select("large-too", grace="0h")
        with fill(small_disk.data, leaving=DISK_BYTES // 4 - 1):
            run = await running.sync()

    assert (run.state, run.counts.projects_withdrawn, run.counts.files_removed) == (RunState.SUCCEEDED, 1, 1)
    assert small_disk.pages() == ["large-too"]
    small_disk.assert_whole()


async def test_files_whose_grace_is_over_make_room(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """Files that have become due leave a full disk before anything is asked for, though nothing is withdrawn."""
    project = pypi.index.project("large")
    project.upload("1.0", sdist=False, padding=1_000_000)
    project.upload("0.9", sdist=False)
    small_disk.select("large")
    async with small_disk.running(reserve=RESERVE) as running:
        await running.sync()
        project.delete_release("1.0")
        await running.sync()
        small_disk.sql("UPDATE retired SET due_at = 1")
        project.upload("1.1", sdist=False, padding=500_000)
        with fill(small_disk.data, leaving=DISK_BYTES // 4 - 1):
            run = await running.sync()

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 1)
    assert "large-1.1-py3-none-any.whl" in small_disk.filenames("large")
    small_disk.assert_whole()


async def test_size_that_lies_fails_its_project_alone(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page that claims 80 TB makes its own project fail, and is no full disk."""
    for name in ("alpha", "liar", "omega"):
        pypi.index.project(name).upload("1.0", sdist=False)
    site.select("alpha", "liar", "omega")

    def lie(page: Document) -> None:
        (entry,) = page["files"]
        page["files"] = [entry | {"filename": f"liar-{number}.zip", "size": 16 * 2**30} for number in range(5_000)]

    pypi.faults.on_page("liar").edit(lie)
    async with site.running(reserve=0.0001) as running:
        run = await running.sync()
        row = running.row("liar")

    assert (run.state, run.counts.projects_failed) == (RunState.INCOMPLETE, 1)
    assert row.state is ProjectState.FAILING
    assert "more than there is room for" in (row.error or "")
    assert site.pages() == ["alpha", "omega"]
    site.assert_whole()


@pytest.mark.parametrize("kind", list(RunKind))
async def test_tree_that_is_away_refuses_every_run(site: Site, pypi: fakepypi.FakePyPI, kind: RunKind) -> None:
    """A tree that has lost its marker is an unmounted disk: no run asks upstream or touches anything, of any kind."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0h")
    async with site.running() as running:
        await running.sync()
        (site.data / "pypi").rename(site.data / "unmounted")
        (site.data / "pypi").mkdir()
        pypi.index.project("six").delete()
        pypi.log.forget()
        away = await running.ended(running.ask(kind))
        touched = list((site.data / "pypi").iterdir())
        (site.data / "pypi").rmdir()
        (site.data / "unmounted").rename(site.data / "pypi")

    assert away.state is RunState.FAILED
    assert "is the disk mounted?" in (away.message or "")
    assert (touched, pypi.log.paths()) == ([], [])


@pytest.mark.parametrize(("at", "state"), [("packages", RunState.FAILED), ("simple/six", RunState.INCOMPLETE)])
async def test_ill_disk_fails_the_run_and_recovers(
    site: Site, pypi: fakepypi.FakePyPI, at: str, state: RunState
) -> None:
    """
    A directory that turned into something else is told by its path, and when it is mended the next run is whole.

    One that everything lies in fails the run, a project's own that project.
    """
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    pypi.index.project("six").upload("2.0")
    directory, aside = site.web / at, site.data / "aside"
    async with site.running() as running:
        directory.rename(aside)
        directory.touch()
        ill = await running.sync()
        directory.unlink()
        aside.rename(directory)
        mended = await running.sync()

    assert ill.state is state
    assert f"{directory}" in (ill.message or "") + "".join(failure.reason for failure in ill.failures)
    assert mended.state is RunState.SUCCEEDED
    assert "six-2.0.tar.gz" in site.filenames("six")
    site.assert_whole()


async def test_reserve_holds_while_files_grow(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Files for each of which there was room as it began, but not for all of them, stop at the reserve."""
    names = [f"large{number}" for number in range(4)]
    for name in names:
        pypi.index.project(name).upload("1.0", sdist=False, padding=20 * MEGABYTES)
    site.select(*names)
    gate = pypi.faults.on_file().gate()
    with mounts.small_disk(site.data, size=128 * MEGABYTES):
        async with site.running(reserve=0.5) as running:
            run = running.ask(RunKind.SYNC)
            for _ in names:
                await gate.arrival()
            gate.open()
            full = await running.ended(run)
            left = list(site.temporaries())

    assert full.state is RunState.FAILED
    assert "stay free (MIRROR_DISK_RESERVE)" in (full.message or "")
    assert left == []


@pytest.mark.parametrize("bad", [1, 4])
async def test_endless_bodies_of_unknown_size(site: Site, pypi: fakepypi.FakePyPI, bad: int) -> None:
    """Bodies without an end, whose pages give no size, cost their own files: others still have room beside them."""
    ill, well = [f"bad{number}" for number in range(bad)], ["alpha", "omega"]
    for name in (*ill, *well):
        pypi.index.project(name).upload("1.0", sdist=False, padding=4 * MEGABYTES)
    site.select(*ill, *well)
    late = pypi.faults.on_file(project="omega").gate()
    for name in ill:
        pypi.faults.on_page(name).edit_files(size=None)
        pypi.faults.on_file(project=name).endless()
    with mounts.small_disk(site.data, size=64 * MEGABYTES):
        async with site.running(reserve=0.25) as running:
            run = running.ask(RunKind.SYNC)
            await late.arrival()
            async with asyncio.timeout(10):
                while not run.failures:  # noqa: ASYNC110 - a run tells of its end alone
                    await asyncio.sleep(0.01)
            late.open()
            without = await running.ended(run)
            left = list(site.temporaries())
            pypi.faults.clear()
            healed = await running.sync(*ill)

        assert without.state is RunState.INCOMPLETE
        assert {failure.project for failure in without.failures} == set(ill)
        assert all("its page gives it no size" in failure.reason for failure in without.failures)
        assert left == []
        assert healed.state is RunState.SUCCEEDED
        assert site.pages() == sorted((*ill, *well))
        site.assert_whole()
