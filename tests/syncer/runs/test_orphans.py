"""Files that nobody knows are told of, and leave only where a person said so, after a grace of their own."""

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
    """A mirrored project, by a policy without a grace."""
    pypi.index.project("six").upload("1.0")
    site.select("six", grace="0m")
    await site.sync()
    return site


def stray(site: Site, name: str = STRAY, *, digits: str = "ab", body: bytes = b"stray") -> Path:
    """Put a file into the tree that nobody knows."""
    path = site.web / "packages" / digits / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


async def test_orphan_is_told_and_left(six: Site) -> None:
    """A verify counts an orphan and its bytes, and what lets it go; that is no damage, and nothing is changed."""
    path = stray(six)
    stray(six, f"{STRAY}.metadata")
    async with six.running() as running:
        run = await running.verify()
        collected = await running.collect()

    assert (run.state, run.counts.files_orphaned, run.failures) == (RunState.SUCCEEDED, 1, [])
    assert run.message == ("1 orphaned file(s) of 10 bytes, named by no page; mirrorctl verify --repair removes them")
    assert (path.exists(), collected.counts.files_removed) == (True, 0)
    assert not (six.state / "orphans").exists()


async def test_orphan_leaves_when_its_grace_is_over(six: Site) -> None:
    """Repair retires an orphan; it is collected with its metadata like any other, and its place keeps its content."""
    path = stray(six)
    beside = stray(six, f"{STRAY}.metadata")
    async with six.running() as running:
        run = await running.verify(repair=True)
        held = running.mirror.catalog.files.held([PackagePath(f"packages/ab/{STRAY}")])
        again = await running.verify(repair=True)

    assert "1 of them are removed after the grace period" in (run.message or "")
    assert (run.counts.files_orphaned, run.counts.files_removed) == (1, 1), "a grace of no time is over at once"
    assert (path.exists(), beside.exists()) == (False, False)
    assert held == {f"packages/ab/{STRAY}": hashlib.sha256(b"stray").hexdigest()}
    assert (again.counts.files_orphaned, again.message) == (0, None)
    six.assert_whole()


async def test_retired_orphan_that_a_page_names_meanwhile_stays(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """An orphan that was retired, and is what a page wants by then, is used and stays."""
    release = pypi.index.project("six").upload("1.1", wheel=False)
    path = stray(six, release.sdist.filename, digits=release.sdist.blake2b_256[:2], body=release.sdist.content)
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


async def test_metadata_alone_goes_at_once(six: Site) -> None:
    """Metadata whose file is gone, as a crash may leave it, is an orphan that nobody can ask for."""
    path = stray(six, f"{STRAY}.metadata")
    async with six.running() as running:
        run = await running.verify(repair=True)

    assert (run.counts.files_orphaned, path.exists()) == (1, False)


async def test_young_files_belong_to_somebody(six: Site) -> None:
    """A file that came within the grace period is not an orphan yet, whatever its mtime says."""
    six.select("six", grace="24h")
    os.utime(stray(six), (0, 0))

    async with six.running() as running:
        run = await running.verify(repair=True)

    assert run.counts.files_orphaned == 0


async def test_what_the_catalog_knows_is_no_orphan(six: Site) -> None:
    """Files that a publication has in hand, and retired ones that wait for their time, are known."""
    stray(six)
    stray(six, "six-0.8.tar.gz")
    pending = Pending(SIX, PackagePath(f"packages/ab/{STRAY}"), Sha256("a" * 64))
    retired = Retirement(SIX, PackagePath("packages/ab/six-0.8.tar.gz"), Sha256("b" * 64), due_at=2**40)
    async with six.running() as running:
        running.mirror.catalog.files.intend([pending])
        running.mirror.catalog.files.retire([retired])
        run = await running.verify(repair=True)

    assert run.counts.files_orphaned == 0


async def test_what_is_others_stays(six: Site) -> None:
    """Full paths, of a tree that may be being adopted, temporaries and links are no orphans of ours."""
    theirs = [
        stray(six, STRAY, digits=f"ab/cd/{'e' * 60}"),
        stray(six, ".0123456789abcdef.part"),
        six.web / "packages" / "ab" / "six-0.7.tar.gz",
    ]
    theirs[2].symlink_to("/etc/passwd")
    async with six.running() as running:
        run = await running.verify(repair=True)
        await running.collect()

    assert run.counts.files_orphaned == 0
    assert all(path.is_symlink() or path.exists() for path in theirs)


async def test_names_that_tell_no_project_are_only_told(six: Site) -> None:
    """What could not be checked again against a project's page before it leaves does not leave."""
    paths = [stray(six, "junk"), stray(six, "line\nbreak-1.0.tar.gz"), stray(six, "bad\udcff-1.0.tar.gz")]
    async with six.running() as running:
        run = await running.verify(repair=True)
        await running.collect()

    assert run.counts.files_orphaned == 3
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("body", [b"{", None], ids=["rotten", "gone"])
async def test_unread_page_names_nobody_knows_what(six: Site, pypi: fakepypi.FakePyPI, body: bytes | None) -> None:
    """Files of a page that is damaged, and could not be repaired, are not orphans, and nothing leaves in that run."""
    other = stray(six, "idna-1.0.tar.gz")
    page = six.web / "simple" / "six" / "index.v1_json"
    page.unlink() if body is None else page.write_bytes(body)
    pypi.faults.on_page("six").status(403)
    async with six.running() as running:
        run = await running.verify(repair=True)
        await running.collect()

    assert (run.state, run.counts.files_orphaned) == (RunState.INCOMPLETE, 1)
    assert other.exists()
    assert len(list(six.web.glob("packages/*/six-1.0*"))) == 3


async def test_publication_under_way_is_no_orphan(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that landed before, and whose page named it only after that page was read, is named after all."""
    release = pypi.index.project("six").upload("1.1", wheel=False)
    async with six.running() as running:
        stray(six, release.sdist.filename, digits=release.sdist.blake2b_256[:2], body=release.sdist.content)
        run = ActiveRun(await running.verify(repair=False))
        search = orphans_of(running, six).search(run)
        next(search)
        await running.sync("six")
        for _ in search:
            pass

    assert run.report.remarks == []
    assert run.document.counts.files_orphaned == 0
    six.assert_whole()


def orphans_of(running: Running, site: Site) -> Orphans:
    """Return a search of a test's own."""
    mirror = running.mirror
    return Orphans(
        catalog=mirror.catalog,
        volume=mirror.volume,
        removal=lambda: mirror.policy.current.removal,
        scratch=site.state / "mine",
        rate_limit=RateLimit(None),
    )
