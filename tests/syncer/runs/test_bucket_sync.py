"""A mirror in a bucket: the objects are the files that a mirror in a directory would have."""

from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.bucket_site import BucketSite
from syncer.site import Site

PRIVATE = frozenset({".mirror-id", ".generation", ".changes", ".lock", ".ballast", ".changes.lock"})

ORPHAN = "pypi/web/packages/ab/small-0.9.tar.gz"


def tree_of(root: Path) -> dict[str, bytes]:
    """Return what clients and edges may read of a tree: not what names one catalog, or one moment."""
    base = root / "pypi"
    paths = (path for path in base.rglob("*") if path.is_file() and path.name not in PRIVATE)
    found = {path.relative_to(base).as_posix(): path.read_bytes() for path in paths}
    found.pop("web/status.json", None)
    return {key: body for key, body in found.items() if not key.startswith((".staging/", ".withdrawn/"))}


async def test_bucket_has_the_objects_of_a_directory(
    site: Site, bucket_site: BucketSite, pypi: fakepypi.FakePyPI
) -> None:
    """A sync into a bucket stores object by object the bytes that a sync into a directory writes."""
    pypi.index.project("small").upload("1.0")
    pypi.index.project("large").upload("1.0", padding=300_000)
    pypi.index.project("large").upload("1.1", padding=20_000_000)
    for one in (site, bucket_site):
        one.select("small", "large", legacy_json=True)
        run = await one.sync()
        assert run.state is RunState.SUCCEEDED, run
    bucket_site.download()
    bucket_site.assert_whole()
    assert tree_of(bucket_site.data) == tree_of(site.data)
    assert sorted(path.name for path in bucket_site.state.glob("bucket/*")) == [".lock"]


async def test_second_sync_stores_only_what_changed(bucket_site: BucketSite, pypi: fakepypi.FakePyPI) -> None:
    """A sync without news stores no page and no file again; one with a new release stores it and its page."""
    pypi.index.project("small").upload("1.0")
    bucket_site.select("small")
    await bucket_site.sync()
    before = bucket_site.bucket.objects()
    assert (await bucket_site.sync()).counts.files_fetched == 0
    after = bucket_site.bucket.objects()
    assert {key for key in after if after[key] != before.get(key)} <= {"pypi/web/status.json", "pypi/.generation"}
    pypi.index.project("small").upload("2.0")
    run = await bucket_site.sync()
    assert run.state is RunState.SUCCEEDED
    bucket_site.download()
    assert bucket_site.filenames("small") == {file.filename for file in pypi.index.project("small").files}


async def test_removed_files_leave_the_bucket(bucket_site: BucketSite, pypi: fakepypi.FakePyPI) -> None:
    """A release that upstream deletes leaves the page and then the bucket; edges are told before."""
    project = pypi.index.project("small")
    for version in ("1.0", "2.0"):
        project.upload(version)
    bucket_site.select("small", grace="0m", guard="100%")
    await bucket_site.sync()
    project.delete_release("1.0")
    run = await bucket_site.sync()
    assert run.state is RunState.SUCCEEDED
    bucket_site.download()
    bucket_site.assert_whole()
    assert not any("1.0" in key for key in bucket_site.bucket.objects())
    assert b"small-1.0" in bucket_site.bucket.read("pypi/.changes")


@pytest.mark.proves("reliability/object-store")
async def test_verify_finds_and_repairs_damaged_objects(bucket_site: BucketSite, pypi: fakepypi.FakePyPI) -> None:
    """Verify reads each object, reports damaged, missing and orphaned ones, and repairs them."""
    pypi.index.project("small").upload("1.0")
    bucket_site.select("small", grace="0m")
    async with bucket_site.running() as running:
        await running.sync()
        whole = bucket_site.bucket.objects()
        wheel, sdist = (next(key for key in whole if key.endswith(end)) for end in (".whl", ".tar.gz"))
        bucket_site.bucket.write(wheel, b"x" * len(whole[wheel]))
        bucket_site.bucket.delete(sdist)
        bucket_site.bucket.write(ORPHAN, b"nobody names it")
        found = await running.verify()
        assert found.state is RunState.INCOMPLETE
        assert (found.counts.files_damaged, found.counts.files_orphaned) == (2, 1)
        repaired = await running.verify(repair=True)
        assert repaired.state is RunState.SUCCEEDED
        assert (await running.verify()).counts.files_damaged == 0
    after = bucket_site.bucket.objects()
    assert after[wheel] == whole[wheel]
    assert after[sdist] == whole[sdist]
    assert ORPHAN not in after
