"""A full, missing or broken disk ends the run with a remedy, and the next run recovers."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import fakepypi
from fakepypi.pages import Document
from mirror_contract import ProjectState, RunKind, RunState
from mirror_syncer.errors import VolumeFullError
from mirror_syncer.volume.ballast import BALLAST_BYTES, trim_ballast
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


@pytest.mark.proves("reliability/disk")
async def test_full_disk_fails_the_run_and_recovers(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """Once the reserve is reached the run fails with the remedy; with free space, the next one downloads the rest."""
    pypi.index.project("six").upload("1.0")
    small_disk.select("six", "large")
    pypi.index.project("large").upload("1.0", sdist=False, padding=1_000_000)
    async with small_disk.running(reserve=RESERVE) as running:
        await running.sync("six")
        with fill(small_disk.data, leaving=DISK_BYTES // 4 - 1):
            full = await running.sync()
        roomy = await running.sync()

    assert full.state is RunState.FAILED
    assert "grow the disk, select less in mirror.toml" in (full.message or "")
    assert roomy.state is RunState.SUCCEEDED
    assert small_disk.pages() == ["large", "six"]
    small_disk.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_disk_filling_up_within_a_file_fails_the_run(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """A disk that fills up in the middle of a file leaves no part of it, and the run names the remedy."""
    pypi.index.project("large").upload("1.0", sdist=False, padding=1_000_000)
    small_disk.select("large")
    pypi.faults.on_page().edit_files(size=None)  # so that nobody can look ahead
    async with small_disk.running() as running:
        with fill(small_disk.data, leaving=500_000):
            full = await running.sync()
            left = list(small_disk.temporaries())
        roomy = await running.sync()

    assert full.state is RunState.FAILED
    assert "No space left on device; grow the disk, select less" in (full.message or "")
    assert left == []
    assert roomy.state is RunState.SUCCEEDED
    small_disk.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_completely_full_disk_is_no_projects_fault(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """On a completely full disk the run fails, not the project that declares a size."""
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


@pytest.mark.proves("reliability/disk")
async def test_removal_frees_space_for_the_same_run(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """On a disk at its reserve, removals come first and free space for the downloads of the same run."""
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


@pytest.mark.proves("reliability/disk")
async def test_removed_line_frees_space_for_new_dependencies(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """At the reserve, a line that goes leaves before a new line and what that needs come, and not after them."""
    pypi.index.project("large").upload("1.0", sdist=False, padding=1_000_000)
    pypi.index.project("app").upload("1.0", sdist=False, requires_dist=("lib",))
    pypi.index.project("lib").upload("1.0", sdist=False, padding=500_000)
    small_disk.select("large", grace="0h", guard="100%", follow=True)
    async with small_disk.running(reserve=RESERVE) as running:
        await running.sync()
        small_disk.select("app", grace="0h", guard="100%", follow=True)
        with fill(small_disk.data, leaving=DISK_BYTES // 4 - 1):
            run = await running.sync()

    assert (run.state, run.counts.projects_withdrawn) == (RunState.SUCCEEDED, 1)
    assert small_disk.pages() == ["app", "lib"]
    small_disk.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_due_files_are_removed_from_a_full_disk_first(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """Files due for removal leave a full disk before any request, even if nothing is withdrawn."""
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


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("everything", [False, True])
async def test_full_disk_still_allows_removals(small_disk: Site, pypi: fakepypi.FakePyPI, *, everything: bool) -> None:
    """On a completely full disk, the start and removals still work; afterwards the project list is correct again."""
    names = [f"large{number}" for number in range(3)]
    for name in names:
        pypi.index.project(name).upload("1.0", sdist=False, padding=500_000)

    def select(*wanted: str, guard: str = "100%") -> None:
        if everything:
            small_disk.everything(grace="0h", guard=guard)
        else:
            small_disk.select(*wanted, grace="0h", guard=guard)

    select(*names)
    await small_disk.sync()
    if everything:
        for name in names[1:]:
            pypi.index.project(name).delete()
        select(guard="0%")
        assert (await small_disk.sync()).counts.projects_withheld == 2
    select(names[0])
    with fill(small_disk.data):
        for number in range(100):  # what is left of the last pages
            with contextlib.suppress(OSError):
                (small_disk.data / "pypi" / f"neighbour-{number}").write_bytes(b"x")
        freed = shutil.disk_usage(small_disk.data).free
        run = await small_disk.sync()
        freed = shutil.disk_usage(small_disk.data).free - freed

    assert run.state in (RunState.SUCCEEDED, RunState.INCOMPLETE)
    assert (run.counts.files_removed, run.counts.bytes_removed > 1_000_000) == (2, True)
    assert freed > 900_000
    assert small_disk.pages() == names[:1]
    listed = (small_disk.web / "simple/index.html").read_text()
    assert [name in listed for name in names] == [True, False, False]
    small_disk.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_smaller_selection_frees_space_for_the_same_run(small_disk: Site, pypi: fakepypi.FakePyPI) -> None:
    """At the reserve, files dropped by a smaller `latest` free space in the same run for other downloads."""
    for version in ("1.0", "1.1"):
        pypi.index.project("large").upload(version, sdist=False, padding=1_000_000)
    pypi.index.project("alpha").upload("1.0", sdist=False)
    small_disk.select("alpha", "large", grace="0h", guard="100%")
    async with small_disk.running(reserve=RESERVE) as running:
        await running.sync()
        pypi.index.project("alpha").upload("2.0", sdist=False, padding=500_000)
        small_disk.select("alpha", "large", latest=1, grace="0h", guard="100%")
        with fill(small_disk.data, leaving=DISK_BYTES // 4 - 1):
            run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert small_disk.filenames("large") == {"large-1.1-py3-none-any.whl"}
    assert small_disk.filenames("alpha") == {"alpha-2.0-py3-none-any.whl"}
    small_disk.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_quarantine_on_a_full_disk_removes_the_file(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarantined file that cannot be moved aside for lack of space is removed, and downloaded if it returns."""

    def full(_: object) -> None:
        raise VolumeFullError("no room")

    pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("six").quarantine()
        monkeypatch.setattr(running.mirror.volume, "withdraw", full)
        quarantined = await running.sync()
        left = list(site.web.glob("packages/*/*"))
        pypi.index.project("six").clear_quarantine()
        back = await running.sync()

    assert (quarantined.state, quarantined.counts.files_removed, left) == (RunState.SUCCEEDED, 1, [])
    assert (back.state, back.counts.files_fetched) == (RunState.SUCCEEDED, 1)
    site.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_waiting_files_are_reported_and_freed(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """After removals the status shows the waiting bytes and their due time; `collect` with `now` frees them at once."""
    for name in ("idna", "six"):
        pypi.index.project(name).upload("1.0", sdist=False)
    site.select("idna", "six", grace="24h", guard="100%")
    async with site.running() as running:
        files = running.mirror.catalog.files
        await running.sync()
        assert files.waiting_totals() is None
        (size,) = (file.size for file in site.published("six").files.values())
        site.select("idna", grace="24h", guard="100%")
        began = int(time.time())
        await running.sync()
        waiting = files.waiting_totals()
        early = await running.collect()
        now = await running.ended(running.ask(RunKind.COLLECT, now=True))
        after = files.waiting_totals()

    assert waiting is not None
    assert (waiting.files, waiting.bytes) == (1, size)
    assert 0 <= waiting.first_at - began - 86_400 <= 60
    assert waiting.first_at == waiting.last_at
    assert early.counts.files_removed == 0
    assert (now.state, now.counts.files_removed, now.counts.bytes_removed) == (RunState.SUCCEEDED, 1, size)
    assert after is None
    assert list(site.web.glob("packages/*/six*")) == []
    site.assert_whole()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("kind", [RunKind.SYNC, RunKind.COLLECT])
async def test_shorter_grace_applies_to_waiting_files(site: Site, pypi: fakepypi.FakePyPI, kind: RunKind) -> None:
    """A shortened grace period counts from when a file was dropped; a longer one changes nothing."""
    six = pypi.index.project("six")
    for version in ("1.0", "2.0"):
        six.upload(version, sdist=False)
    site.select("six", grace="24h", guard="100%")
    async with site.running() as running:
        await running.sync()
        six.delete_release("1.0")
        await running.sync()
        site.sql("UPDATE retired SET retired_at = retired_at - 7200, due_at = due_at - 7200")
        removed = []
        for grace in ("48h", "3h", "1h"):
            site.select("six", grace=grace, guard="100%")
            removed.append((await running.ended(running.ask(kind))).counts.files_removed)

    assert removed == [0, 0, 1]


@pytest.mark.proves("reliability/disk")
def test_ballast_is_deleted_on_a_full_disk(tmp_path: Path) -> None:
    """With ample space 16 MiB are reserved; on a full disk they are freed, and reserved again later."""
    ballast, ample = tmp_path / "ballast", 2**40
    trim_ballast(ballast, free=ample, spare_bytes=0)
    assert not ballast.exists()
    for _ in range(2):
        trim_ballast(ballast, free=ample, spare_bytes=ample)
        assert ballast.stat().st_size == BALLAST_BYTES
        assert ballast.stat().st_blocks * 512 >= BALLAST_BYTES
        trim_ballast(ballast, free=BALLAST_BYTES, spare_bytes=0)
        assert ballast.exists()
        trim_ballast(ballast, free=BALLAST_BYTES - 1, spare_bytes=0)
        assert not ballast.exists()


async def test_huge_declared_size_fails_only_its_project(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page that declares 80 TB fails its own project and does not count as a full disk."""
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
    assert "more than the free disk space" in (row.error or "")
    assert site.pages() == ["alpha", "omega"]
    site.assert_whole()


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("kind", list(RunKind))
async def test_missing_tree_refuses_every_run(site: Site, pypi: fakepypi.FakePyPI, kind: RunKind) -> None:
    """A tree without its marker is an unmounted disk: no kind of run sends a request or changes anything."""
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
async def test_broken_directory_fails_the_run_and_recovers(
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


@pytest.mark.proves("reliability/disk")
async def test_reserve_holds_while_files_grow(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Parallel downloads that fit individually but not together stop at the reserve."""
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


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("bad", [1, 4])
async def test_endless_bodies_of_unknown_size_fail_alone(site: Site, pypi: fakepypi.FakePyPI, bad: int) -> None:
    """Endless bodies without a declared size fail their own files, and leave space for others."""
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
            async with asyncio.timeout(60):
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
