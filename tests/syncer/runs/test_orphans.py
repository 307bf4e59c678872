"""Orphans: files that no page names are reported, and only a repair removes them, after a grace period."""

import hashlib
import os
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import RunState
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.project import Pending, Retirement
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.verify.orphans import Orphans
from mirror_syncer.work.rate_limit import RateLimit
from syncer.site import Running, Site

SIX = NormalizedName("six")
STRAY = "six-0.9.tar.gz"


@pytest.fixture
async def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror of one project, without a grace period."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0m")
    await site.sync()
    return site


def add_stray_file(site: Site, name: str = STRAY, *, digits: str = "ab", body: bytes = b"stray") -> Path:
    """Write a file into the tree that neither a page nor the catalog names."""
    path = site.web / "packages" / digits / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


async def test_orphan_without_repair_is_reported_and_stays(six: Site) -> None:
    """A verify reports orphans, their bytes and the command that removes them, and changes nothing."""
    path = add_stray_file(six)
    add_stray_file(six, f"{STRAY}.metadata")
    async with six.running() as running:
        run = await running.verify()
        collected = await running.collect()

    assert (run.state, run.counts.files_orphaned, run.failures) == (RunState.SUCCEEDED, 1, [])
    assert run.message == ("1 orphaned file(s) of 10 bytes, named by no page; mirrorctl verify --repair removes them")
    assert (path.exists(), collected.counts.files_removed) == (True, 0)
    assert not (six.state / "orphans").exists()


async def test_repaired_orphan_leaves_after_its_grace_period(six: Site) -> None:
    """Repair removes an orphan and its metadata after the grace period, and the catalog keeps the path's digest."""
    path = add_stray_file(six)
    metadata = add_stray_file(six, f"{STRAY}.metadata")
    async with six.running() as running:
        run = await running.verify(repair=True)
        held = running.mirror.catalog.files.recorded_digests([PackagePath(f"packages/ab/{STRAY}")])
        again = await running.verify(repair=True)

    assert "1 of them are removed after the grace period" in (run.message or "")
    assert (run.counts.files_orphaned, run.counts.files_removed) == (1, 1), "a grace period of zero is over at once"
    assert (path.exists(), metadata.exists()) == (False, False)
    assert held == {f"packages/ab/{STRAY}": hashlib.sha256(b"stray").hexdigest()}
    assert (again.counts.files_orphaned, again.message) == (0, None)
    six.assert_whole()


async def test_retired_orphan_named_by_a_page_stays(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A retired orphan that a page names before its removal is used and stays."""
    release = pypi.index.project("six").upload("1.1", wheel=False)
    path = add_stray_file(six, release.sdist.filename, digits=release.sdist.blake2b_256[:2], body=release.sdist.content)
    async with six.running() as running:
        retired = Retirement(
            SIX, PackagePath(str(path.relative_to(six.web))), Sha256(release.sdist.sha256), due_at=2**40
        )
        running.mirror.catalog.files.retire([retired])
        run = await running.sync("six")
        six.sql("UPDATE retired SET due_at = 1")
        await running.collect()

    assert (run.counts.files_fetched, path.exists()) == (0, True)
    six.assert_whole()


async def test_metadata_without_its_file_is_removed(six: Site) -> None:
    """Repair removes metadata whose file is missing, as a crash may leave it."""
    path = add_stray_file(six, f"{STRAY}.metadata")
    async with six.running() as running:
        run = await running.verify(repair=True)

    assert (run.counts.files_orphaned, path.exists()) == (1, False)


async def test_young_file_is_no_orphan(six: Site) -> None:
    """A file that arrived within the grace period is not an orphan, whatever its modification time."""
    six.select("six", grace="24h")
    os.utime(add_stray_file(six), (0, 0))

    async with six.running() as running:
        run = await running.verify(repair=True)

    assert run.counts.files_orphaned == 0


async def test_pending_and_retired_files_are_no_orphans(six: Site) -> None:
    """Files that the catalog knows as pending or retired are not orphans."""
    add_stray_file(six)
    add_stray_file(six, "six-0.8.tar.gz")
    pending = Pending(SIX, PackagePath(f"packages/ab/{STRAY}"), Sha256("a" * 64))
    retired = Retirement(SIX, PackagePath("packages/ab/six-0.8.tar.gz"), Sha256("b" * 64), due_at=2**40)
    async with six.running() as running:
        running.mirror.catalog.files.claim([pending])
        running.mirror.catalog.files.retire([retired])
        run = await running.verify(repair=True)

    assert run.counts.files_orphaned == 0


async def test_full_paths_temporaries_and_links_are_no_orphans(six: Site) -> None:
    """Files at full paths, temporary files and symbolic links are not orphans."""
    others = [
        add_stray_file(six, STRAY, digits=f"ab/cd/{'e' * 60}"),
        add_stray_file(six, ".0123456789abcdef.part"),
        six.web / "packages" / "ab" / "six-0.7.tar.gz",
    ]
    others[2].symlink_to("/etc/passwd")
    async with six.running() as running:
        run = await running.verify(repair=True)
        await running.collect()

    assert run.counts.files_orphaned == 0
    assert all(path.is_symlink() or path.exists() for path in others)


async def test_orphan_without_a_project_name_stays(six: Site) -> None:
    """An orphan whose name contains no project name is reported and not removed."""
    paths = [
        add_stray_file(six, "junk"),
        add_stray_file(six, "line\nbreak-1.0.tar.gz"),
        add_stray_file(six, "bad\udcff-1.0.tar.gz"),
    ]
    async with six.running() as running:
        run = await running.verify(repair=True)
        await running.collect()

    assert run.counts.files_orphaned == 3
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("body", [b"{", None], ids=["corrupt", "missing"])
async def test_files_of_a_damaged_page_are_no_orphans(six: Site, pypi: fakepypi.FakePyPI, body: bytes | None) -> None:
    """Files of a damaged page that cannot be repaired are not orphans, and that run removes nothing."""
    other = add_stray_file(six, "idna-1.0.tar.gz")
    page = six.web / "simple" / "six" / "index.v1_json"
    page.unlink() if body is None else page.write_bytes(body)
    pypi.faults.on_page("six").status(403)
    async with six.running() as running:
        run = await running.verify(repair=True)
        await running.collect()

    assert (run.state, run.counts.files_orphaned) == (RunState.INCOMPLETE, 1)
    assert other.exists()
    assert len(list(six.web.glob("packages/*/six-1.0*"))) == 3


async def test_file_published_during_the_search_is_no_orphan(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that its page names only after the search read that page is not an orphan."""
    release = pypi.index.project("six").upload("1.1", wheel=False)
    async with six.running() as running:
        add_stray_file(six, release.sdist.filename, digits=release.sdist.blake2b_256[:2], body=release.sdist.content)
        run = ActiveRun(await running.verify(repair=False))
        search = make_search(running, six).search(run)
        next(search)
        await running.sync("six")
        for _ in search:
            pass

    assert run.report.remarks == []
    assert run.document.counts.files_orphaned == 0
    six.assert_whole()


@pytest.mark.proves("reliability/removal")
async def test_marker_of_a_file_that_no_page_holds_is_removed(six: Site) -> None:
    """A verify reports files that nginx refuses though no page holds them; a repair ends that, and nothing else."""
    stray, unknown, invalid = (
        PackagePath(f"packages/ab/{name}") for name in (STRAY, "idna-1.0.tar.gz", "odd.metadata")
    )
    async with six.running() as running:
        volume = running.mirror.volume
        for place in (stray, unknown, invalid):
            volume.hold(place, "held", address=None)
        reported = await running.verify()
        kept = volume.held_text(stray)
        repaired = await running.verify(repair=True)
        left = [volume.held_text(place) for place in (stray, unknown, invalid)]
        again = await running.verify(repair=True)

    problem = "nginx refuses 1 file(s) that no page holds"
    assert (reported.message, kept) == (f"{problem}; mirrorctl verify --repair removes them", "held")
    assert repaired.message == f"{problem}; removed"
    assert left == [None, "held", "held"], "a project without a page may be blocked as a whole"
    assert (again.state, again.message) == (RunState.SUCCEEDED, None)


async def test_marker_of_a_file_that_a_page_holds_stays(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A verify keeps the marker of a file that a page names as held."""
    pypi.index.project("six").upload("0.5", sdist=False)
    six.policy.write_text(
        f'{six.policy.read_text()}[block]\nprojects = [{{ name = "six==0.5", because = "malware" }}]\n'
    )
    await six.sync()
    (marker,) = six.web.glob("packages/??/.held/*")
    async with six.running() as running:
        run = await running.verify(repair=True)

    assert (run.state, run.message) == (RunState.SUCCEEDED, None)
    assert "malware" in marker.read_text()


def make_search(running: Running, site: Site) -> Orphans:
    """Return an orphan search that the test controls."""
    mirror = running.mirror
    return Orphans(
        catalog=mirror.catalog,
        volume=mirror.volume,
        removal=lambda: mirror.policy.current.removal,
        scratch=site.state / "mine",
        rate_limit=RateLimit(None),
    )
