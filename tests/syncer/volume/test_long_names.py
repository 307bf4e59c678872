"""File names so long that derived names do not fit, in every operation on a file."""

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.model.names import MAX_NAME_BYTES, PackagePath, Sha256
from mirror_syncer.model.project import Pending
from mirror_syncer.volume import View
from syncer.commands.test_cli import mirror_syncer
from syncer.old_mirror import OldMirror
from syncer.site import Site, same_directory

pytestmark = pytest.mark.proves("reliability/disk")

LENGTHS = (246, 247, 254, 255)  # bytes; from 247 on there is no room for `.metadata`


def wheel(length: int) -> str:
    """Return the name of a wheel of so many bytes."""
    before, after = "six-1.0+", "-py3-none-any.whl"
    return f"{before}{'b' * (length - len(before) - len(after))}{after}"


def upload(pypi: fakepypi.FakePyPI, length: int) -> str:
    """Upload a wheel whose name has so many bytes, with metadata, and return it."""
    name = wheel(length)
    version = name.split("-")[1]
    pypi.index.project("six").upload(version, sdist=False)
    (uploaded,) = pypi.index.project("six").releases[version].files
    assert len(uploaded) == length
    return uploaded


def left(site: Site) -> list[str]:
    """Return the names of all files below packages/."""
    return sorted(path.name for path in site.web.glob("packages/**/*") if not path.is_dir())


@pytest.mark.parametrize("length", LENGTHS)
async def test_long_name_is_published_and_removed(site: Site, pypi: fakepypi.FakePyPI, length: int) -> None:
    """A file with a long name is published, with metadata if that fits, and removed, also after a restart."""
    filename = upload(pypi, length)
    pypi.index.project("six").upload("2.0", sdist=False)
    site.select("six", grace="0m", guard="100%")
    await site.sync()
    promised = site.published("six").files[filename].core_metadata
    pypi.index.project("six").delete_file(filename)
    runs = [await site.sync(), await site.sync()]

    assert isinstance(promised, str) == (length == LENGTHS[0])
    assert [run.state for run in runs] == [RunState.SUCCEEDED] * 2
    assert runs[0].counts.files_removed == 1
    assert left(site) == ["six-2.0-py3-none-any.whl", "six-2.0-py3-none-any.whl.metadata"]
    site.assert_whole()


async def test_quarantined_long_name_returns_without_a_download(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A quarantined file is moved aside, and returns without a download."""
    filename = upload(pypi, MAX_NAME_BYTES)
    site.select("six", grace="0m")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("six").quarantine()
        quarantined = await running.sync()
        aside = left(site)
        pypi.index.project("six").clear_quarantine()
        back = await running.sync()

    assert (quarantined.state, quarantined.counts.files_removed, aside) == (RunState.SUCCEEDED, 1, [])
    assert (back.state, back.counts.files_fetched) == (RunState.SUCCEEDED, 0)
    assert site.filenames("six") == {filename}
    site.assert_whole()


async def test_long_name_at_its_full_path_leaves_a_tombstone(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file whose short path held other content leaves a tombstone at its full path."""
    before = b"as it was"
    filename, six = wheel(MAX_NAME_BYTES), pypi.index.project("six")
    six.upload_file(filename, before, version="1.0")
    site.select("six", grace="0m", guard="100%")
    async with site.running() as running:
        await running.sync()
        six.delete()
        six.upload_file(filename, same_directory(before), version="1.0", replace=True)
        replaced = await running.sync()
        place = site.published("six").places[filename]
        six.delete_file(filename)
        six.create()
        emptied = await running.sync()

    assert (replaced.state, emptied.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert place.count("/") == 4
    assert [path.parent.name for path in site.web.glob(f"packages/**/{filename}")] == [".gone"]


async def test_long_name_is_recovered_after_a_crash(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Pending files of a crash are recovered at the start: one that exists, and one that does not."""
    upload(pypi, MAX_NAME_BYTES)
    site.select("six", grace="0m")
    await site.sync()
    names = [wheel(MAX_NAME_BYTES - 1), wheel(MAX_NAME_BYTES).replace("six-1.0", "six-1.1")]
    (site.web / "packages/ab" / names[0]).write_bytes(b"came")
    async with site.running() as running:
        intents = [
            Pending(running.row("six").name, PackagePath(f"packages/ab/{name}"), Sha256("0" * 64)) for name in names
        ]
        running.mirror.catalog.files.claim(intents)
    restarted = await site.sync()

    assert restarted.state is RunState.SUCCEEDED
    async with site.running() as running:
        assert running.mirror.catalog.files.pending() == []
    site.assert_whole()


async def test_orphan_with_a_long_name_is_collected(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An orphan is reported, retired by a repair, and collected."""
    upload(pypi, MAX_NAME_BYTES)
    site.select("six", grace="0m")
    await site.sync()
    stray = site.web / "packages/ab" / wheel(MAX_NAME_BYTES).replace("six-1.0", "six-0.9")
    stray.write_bytes(b"stray")
    async with site.running() as running:
        repaired = await running.verify(repair=True)
        verified = await running.verify()

    assert (repaired.state, repaired.counts.files_orphaned) == (RunState.SUCCEEDED, 1)
    assert (verified.state, verified.counts.files_orphaned) == (RunState.SUCCEEDED, 0)
    assert not stray.exists()


async def test_long_name_is_adopted(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A tree with a long name is adopted, and the old path is removed."""
    filename = upload(pypi, MAX_NAME_BYTES)
    OldMirror(site.web).write(pypi.index.project("six"), metadata=False)
    site.select("six", grace="0m")
    adopted = await mirror_syncer(site, "adopt")
    pypi.log.forget()
    run = await site.sync()

    assert (adopted.code, run.state, run.counts.files_fetched) == (0, RunState.SUCCEEDED, 0)
    assert left(site) == [filename]
    site.assert_whole()


async def test_name_too_long_for_the_file_system_fails_alone(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file system allows 143 bytes, a longer name fails alone, and its project names the reason."""
    monkeypatch.setattr(View, "name_max", 143)
    short, middle, long = (upload(pypi, length) for length in (134, 143, 144))
    pypi.index.project("idna").upload("1.0")
    site.select("idna", "six", grace="0m")
    async with site.running() as running:
        runs = [await running.sync(), await running.sync()]
        row = running.row("six")

    assert [run.state for run in runs] == [RunState.INCOMPLETE] * 2
    assert {failure.file for failure in runs[0].failures} == {long}
    assert "takes at most 143" in (row.error or "")
    assert site.filenames("six") == {short, middle}
    assert isinstance(site.published("six").files[short].core_metadata, str)
    assert site.published("six").files[middle].core_metadata is False
    assert site.pages() == ["idna", "six"]
    site.assert_whole()
