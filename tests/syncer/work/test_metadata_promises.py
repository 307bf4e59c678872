"""What a page promises of metadata, and what a wheel says itself: dependencies are decided by the latter."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import fakepypi
from fakepypi.pages import Document
from mirror_contract import RunState
from syncer.site import Site

WHEEL = "six-1.0-py3-none-any.whl"
SDIST = "six-1.0.tar.gz"
FALSE = b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\nRequires-Dist: evil\n"
OTHER = b"Metadata-Version: 2.2\nName: six\nVersion: 1.0\nRequires-Dist: idna\n"
KEYS = ("core-metadata", "data-dist-info-metadata")


def sha256(body: bytes) -> str:
    """Return a digest."""
    return hashlib.sha256(body).hexdigest()


def promise(value: object) -> Callable[[Document], None]:
    """Return what has a page promise this of each file's metadata."""

    def change(document: Document) -> None:
        for file in document["files"]:
            file.update(dict.fromkeys(KEYS, value))

    return change


def beside(site: Site, place: str) -> Path:
    """Return where the metadata of the file at a place lies."""
    return site.web / f"{place}.metadata"


def metadata_of(site: Site, filename: str) -> bytes:
    """Return a published file's metadata."""
    return beside(site, site.published("six").places[filename]).read_bytes()


@pytest.mark.proves("security/upstream")
async def test_false_promise_of_a_wheel_is_told_and_its_own_metadata_published(
    site: Site, pypi: fakepypi.FakePyPI
) -> None:
    """Where page and wheel differ, the wheel's METADATA is published, though upstream serves what it promises."""
    own = pypi.index.project("six").upload("1.0", sdist=False).files[WHEEL]
    content, metadata = own.content, own.metadata
    pypi.index.project("six").upload_file(WHEEL, content, version="1.0", metadata=FALSE, replace=True)
    site.select("six")

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert f"promises metadata of sha256 {sha256(FALSE)}" in run.failures[0].reason
    assert metadata_of(site, WHEEL) == metadata
    assert pypi.log.to(".metadata") == []
    site.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_false_metadata_of_an_earlier_version_is_found_and_mended(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A verify looks into wheels: metadata that was published by a false promise is found, and repaired."""
    pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    await site.sync()
    own = metadata_of(site, WHEEL)
    beside(site, site.published("six").places[WHEEL]).write_bytes(FALSE)
    for form in ("index.html", "index.v1_json"):
        page = site.web / "simple" / "six" / form
        page.write_text(page.read_text().replace(sha256(own), sha256(FALSE)))
    site.sql("UPDATE project SET page_sha256 = NULL")
    async with site.running() as running:
        found = await running.verify()
        mended = await running.verify(repair=True)
        again = await running.verify()

    assert f"{WHEEL}.metadata" in {failure.file for failure in found.failures}
    assert [mended.state, again.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert metadata_of(site, WHEEL) == own
    site.assert_whole()


@pytest.mark.proves("security/upstream")
async def test_later_false_promise_is_told(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A promise that turns false after the wheel was published is told of, and changes nothing."""
    pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    await site.sync()
    own = metadata_of(site, WHEEL)
    pypi.faults.on_page("six").edit(promise({"sha256": sha256(FALSE)}))

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert (run.counts.files_fetched, metadata_of(site, WHEEL)) == (0, own)
    site.assert_whole()


async def test_wheel_that_cannot_be_read_is_published_by_its_promise(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of a wheel with a compression that we do not read, upstream's promise stands, and what it serves is compared."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as wheel:
        wheel.writestr("six-1.0.dist-info/METADATA", FALSE)
    pypi.index.project("six").upload_file(WHEEL, archive.getvalue(), version="1.0", metadata=OTHER)
    site.select("six")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert metadata_of(site, WHEEL) == OTHER


@pytest.mark.proves("security/upstream")
async def test_changed_promise_of_an_sdist_is_a_changed_file(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where upstream promises other metadata of the same sdist, it gets another URL; the old one keeps its bytes."""
    six = pypi.index.project("six")
    six.upload_file(SDIST, b"an sdist", version="1.0", metadata=FALSE)
    site.select("six")
    await site.sync()
    before = site.published("six").places[SDIST]
    assert metadata_of(site, SDIST) == FALSE
    six.upload_file(SDIST, b"an sdist", version="1.0", metadata=OTHER, replace=True)

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert metadata_of(site, SDIST) == OTHER
    assert site.published("six").places[SDIST] != before
    assert beside(site, before).read_bytes() == FALSE
    site.assert_whole()


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("said", [True, {"md5": "0" * 32}])
async def test_promise_without_a_sha256_is_none(site: Site, pypi: fakepypi.FakePyPI, said: object) -> None:
    """`true`, or md5 alone, promises nothing: a wheel has its own metadata, an sdist none, and nobody is asked."""
    six = pypi.index.project("six")
    own = six.upload("1.0").files[WHEEL].metadata
    pypi.faults.on_page("six").edit(promise(said))
    site.select("six")

    run = await site.sync()
    again = await site.sync()

    assert [run.state, again.state] == [RunState.SUCCEEDED] * 2
    assert metadata_of(site, WHEEL) == own
    assert site.published("six").files[SDIST].core_metadata is False
    assert (pypi.log.to(".metadata"), again.counts.projects_changed) == ([], 0)
    site.assert_whole()
