"""A path in the tree belongs to one project at a time and keeps its bytes, whatever another project's page claims."""

import hashlib

import pytest

import fakepypi
from fakepypi.distributions import Recipe, build_wheel
from fakepypi.pages import Document
from mirror_contract import RunKind, RunState
from syncer.site import Site, same_directory

# Two projects that may both have a file of one name: "six-evil-1.0" is six's, or six-evil's.
EVIL = "six-evil"
WHEEL = "six-evil-1.0-py3-none-any.whl"
SDIST = "six-1.0.tar.gz"
PAIRS = 12


@pytest.fixture
def six(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.File:
    """A file of six, on a host that mirrors evil too; evil's page can name it by uploading it again."""
    site.select("six", EVIL)
    pypi.index.project(EVIL).upload("1.0", wheel=False)
    built = build_wheel(Recipe(name=EVIL, version="1.0"))
    return pypi.index.project("six").upload_file(WHEEL, built.content, version="1.0", metadata=built.metadata)


def name_it_too(pypi: fakepypi.FakePyPI, file: fakepypi.File, content: bytes | None = None) -> None:
    """Let evil's page name six's file: the same content, or other content with its name."""
    pypi.index.project(EVIL).upload_file(
        file.filename, content or file.content, version="1.0", metadata=file.metadata, replace=True
    )


async def assert_both_publish(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Assert that six and evil both publish the file, which both are downloading at the same time."""
    gate = pypi.faults.on_file(WHEEL).gate()
    async with site.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        await gate.arrival()
        gate.open()
        ended = await running.ended(run)

    assert ended.state is RunState.SUCCEEDED
    assert WHEEL in site.filenames("six") & site.filenames(EVIL)
    site.assert_whole()


async def test_same_file_of_two_projects_is_published_by_both(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File
) -> None:
    """Two projects that download the same file at the same time both publish it, complete."""
    name_it_too(pypi, six)
    await assert_both_publish(site, pypi)


def hide_digests(document: Document) -> None:
    """Have files at URLs that do not show us their digest."""
    for file in document["files"]:
        file["url"] = file["url"].replace("/packages/", "/%70ackages/")


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("is_large", [True, False], ids=["large", "of no known place"])
async def test_same_staged_file_of_two_projects_is_published_by_both(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    """Two projects that stage the same file, large or without a known path, both publish it."""
    monkeypatch.setattr("mirror_syncer.volume.tree.MAX_BUFFERED_BYTES", 0)
    name_it_too(pypi, six)
    if is_large:
        monkeypatch.setattr("mirror_syncer.volume.tree.MIN_STAGED_BYTES", 0)
    else:
        pypi.faults.on_page().edit(hide_digests)
    await assert_both_publish(site, pypi)


@pytest.mark.proves("security/project-owners")
async def test_two_contents_for_one_path_get_a_path_each(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Two contents that need the same short path at the same time each get their own path."""
    names = [kind.format(number) for number in range(PAIRS) for kind in ("six{}", "six{}-evil")]
    for number in range(PAIRS):
        file = pypi.index.project(f"six{number}").upload_file(f"six{number}-evil-1.0.zip", b"six" * 9, version="1.0")
        other = same_directory(file.content)
        pypi.index.project(f"six{number}-evil").upload_file(file.filename, other, version="1.0", replace=True)
    site.select(*names)
    gate = pypi.faults.on_file().gate()
    async with site.running(connections=2 * PAIRS + 1) as running:
        run = running.ask(RunKind.SYNC)
        for _ in names:
            await gate.arrival()
        gate.open()
        ended = await running.ended(run)

    assert ended.state is RunState.SUCCEEDED
    assert len({place for name in names for place in site.published(name).places.values()}) == 2 * PAIRS
    site.assert_whole()


@pytest.mark.proves("security/project-owners")
async def test_file_that_another_page_drops_stays(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File) -> None:
    """A file that evil's page named and dropped stays, since its own project's page names it."""
    name_it_too(pypi, six)
    site.select("six", EVIL, grace="0h")
    await site.sync("six")
    await site.sync(EVIL)
    assert WHEEL in site.filenames(EVIL)

    pypi.index.project(EVIL).delete_file(WHEEL)
    run = await site.sync()

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 0)
    assert (site.filenames("six"), WHEEL in site.filenames(EVIL)) == ({WHEEL}, False)
    site.assert_whole()


async def test_file_of_another_quarantined_page_stays(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File) -> None:
    """A quarantine removes the project's own files from the document root, and no file that another page names."""
    name_it_too(pypi, six)
    await site.sync("six")
    await site.sync(EVIL)

    pypi.index.project(EVIL).quarantine()
    run = await site.sync()

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 1)
    assert site.filenames(EVIL) == set()
    site.assert_whole()


async def test_interrupted_claim_leaves_the_file(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File) -> None:
    """A stop while evil claims six's path with other content leaves six's file and path as they are."""
    await site.sync("six")
    place = site.published("six").places[WHEEL]
    site.select("six", EVIL, grace="0h")
    name_it_too(pypi, six, same_directory(six.content))
    gate = pypi.faults.on_file(WHEEL).times(1).gate()
    async with site.running() as running:
        stopped = running.ask(RunKind.SYNC, EVIL)
        await gate.arrival()
        running.mirror.engine.stop(grace_seconds=0)

    async with site.running() as running:
        await running.collect()
        await running.ended(stopped)  # it continues by itself
        site.assert_whole()
        (site.web / place).unlink()
        await running.verify("six", repair=True)

    assert site.published("six").places[WHEEL] == place
    site.assert_whole()


async def test_metadata_of_another_page_is_not_overwritten(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File
) -> None:
    """The metadata of a published file keeps its bytes, whatever another page says they should be."""
    await site.sync("six")
    other = b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\nRequires-Dist: evil\n"
    pypi.index.project(EVIL).upload_file(WHEEL, six.content, version="1.0", metadata=other, replace=True)

    await site.sync(EVIL)

    beside = (site.web / f"{site.published('six').places[WHEEL]}.metadata").read_bytes()
    assert beside == six.metadata
    assert site.published(EVIL).files[WHEEL].core_metadata == hashlib.sha256(beside).hexdigest()
    site.assert_whole()


async def test_repair_never_changes_the_bytes_of_a_url(site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File) -> None:
    """Repair does not replace a lost file by other bytes under its URL, even if upstream has replaced it."""
    await site.sync("six")
    place = site.published("six").places[WHEEL]
    (site.web / place).unlink()
    other = same_directory(six.content)
    pypi.index.project("six").upload_file(WHEEL, other, version="1.0", metadata=six.metadata, replace=True)

    async with site.running() as running:
        await running.verify(repair=True)

    assert site.content("six", WHEEL) == other
    assert site.published("six").places[WHEEL] != place
    assert not (site.web / place).exists()


async def test_collection_spares_a_file_that_returns(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A collection does not remove a due file that a refresh in progress is bringing back."""
    project = pypi.index.project("six")
    file = project.upload("1.0").files[SDIST]
    pypi.index.project("idna").upload("1.0")
    site.select("six", "idna")
    await site.sync()
    project.delete_file(SDIST)
    await site.sync()
    project.upload_file(SDIST, file.content, version="1.0", replace=True)
    project.upload("2.0", wheel=False)
    gate = pypi.faults.on_file("six-2.0.tar.gz").gate()

    async with site.running() as running:
        refresh = running.ask(RunKind.SYNC, "six")
        await gate.arrival()
        site.sql("UPDATE retired SET due_at = 1")
        collection = running.ask(RunKind.COLLECT)
        await running.sync("idna")
        gate.open()
        runs = [await running.ended(run) for run in (refresh, collection)]

    assert [run.state for run in runs] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert sum(run.counts.files_removed for run in runs) == 0
    assert {SDIST, "six-2.0.tar.gz"} <= site.filenames("six")
    site.assert_whole()


async def test_collection_spares_a_file_that_another_project_is_publishing(
    site: Site, pypi: fakepypi.FakePyPI, six: fakepypi.File
) -> None:
    """A collection does not remove a file that evil dropped and six is about to publish."""
    site.select("six", EVIL, grace="0h")
    name_it_too(pypi, six)
    await site.sync(EVIL)
    site.select("six", EVIL)
    pypi.index.project(EVIL).delete_file(WHEEL)
    await site.sync(EVIL)
    site.sql("UPDATE retired SET due_at = 1")
    pypi.index.project("six").upload("2.0", wheel=False)
    gate = pypi.faults.on_file("six-2.0.tar.gz").gate()

    async with site.running() as running:
        refresh = running.ask(RunKind.SYNC, "six")
        await gate.arrival()
        collected = await running.collect()
        gate.open()
        ended = await running.ended(refresh)

    assert (ended.state, collected.counts.files_removed) == (RunState.SUCCEEDED, 0)
    assert WHEEL in site.filenames("six")
    site.assert_whole()
