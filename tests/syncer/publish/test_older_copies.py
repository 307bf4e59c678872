"""A tree older than its catalog, and a catalog older than its tree, are detected and repaired."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import fakepypi
from mirror_contract import ProjectState, RunState
from mirror_syncer.runs.garbage_collection import Collected, collect
from mirror_syncer.runs.sync.due_feed import DueFeed
from syncer.site import Running, Site

WHEEL = "six-1.0-py3-none-any.whl"
Restore = Callable[[], None]


def copy(directory: Path) -> Restore:
    """Copy a directory, and return how to restore the copy."""
    kept = directory.with_name(f"{directory.name}.kept")
    shutil.copytree(directory, kept)

    def restore() -> None:
        shutil.rmtree(directory)
        shutil.copytree(kept, directory)

    return restore


@pytest.fixture
async def mirrored(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """Three mirrored projects."""
    for name in ("six", "idna", "toml"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", "toml", grace="0m", guard="100%")
    await site.sync()
    return site


def change(pypi: fakepypi.FakePyPI) -> None:
    """One project is quarantined, one deleted, and one gets a release."""
    pypi.index.project("six").quarantine()
    pypi.index.project("idna").delete()
    pypi.index.project("toml").upload("1.1")


def assert_as_upstream(site: Site) -> None:
    """Assert what clients find after ``change``: nothing of what was quarantined or deleted."""
    assert site.pages() == ["six", "toml"]
    assert site.filenames("six") == set()
    assert site.filenames("toml") == {
        f"toml-{version}{suffix}" for version in ("1.0", "1.1") for suffix in (".tar.gz", "-py3-none-any.whl")
    }
    files = {path.name.removesuffix(".metadata") for path in site.web.glob("packages/**/*") if path.is_file()}
    assert files == site.filenames("toml")
    site.assert_whole()


async def sync_after_copy(site: Site, directory: Path, pypi: fakepypi.FakePyPI, *, everything: bool) -> Restore:
    """Copy a directory, sync upstream's ``change``, and return how to restore the copy."""
    if everything:
        site.everything(grace="0m", guard="100%")
        await site.sync()
    restore = copy(directory)
    change(pypi)
    await site.sync()
    await site.sync()
    return restore


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("everything", [False, True])
async def test_older_tree_is_repaired_by_the_next_sync(
    mirrored: Site, pypi: fakepypi.FakePyPI, *, everything: bool
) -> None:
    """A tree restored from before a quarantine, a deletion and a release matches upstream after one sync."""
    restore = await sync_after_copy(mirrored, mirrored.data, pypi, everything=everything)
    assert_as_upstream(mirrored)
    restore()
    assert WHEEL in mirrored.filenames("six")

    await mirrored.sync()

    assert_as_upstream(mirrored)


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("everything", [False, True])
async def test_older_catalog_is_repaired_by_the_next_sync(
    mirrored: Site, pypi: fakepypi.FakePyPI, *, everything: bool
) -> None:
    """A catalog restored from before upstream's changes is updated from the pages, and one sync completes it."""
    restore = await sync_after_copy(mirrored, mirrored.state, pypi, everything=everything)
    restore()

    await mirrored.sync()
    await mirrored.sync()

    assert_as_upstream(mirrored)


@pytest.mark.proves("reliability/disk")
async def test_project_with_reappeared_files_is_synced_in_the_same_run(
    mirrored: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older tree is repaired by one sync, even while reappeared files are being removed."""
    all_given = Event()
    sources = DueFeed._sources

    def sources_to_the_end(*arguments: Any) -> Iterator[Any]:
        yield from sources(*arguments)
        all_given.set()

    def collect_late(*arguments: Any, **more: Any) -> Collected:
        assert all_given.wait(30)
        return collect(*arguments, **more)

    mirrored.everything(grace="0m", guard="100%")
    await mirrored.sync()
    restore = copy(mirrored.data)
    change(pypi)
    await mirrored.sync()
    await mirrored.sync()
    restore()
    monkeypatch.setattr(DueFeed, "_sources", sources_to_the_end)
    monkeypatch.setattr("mirror_syncer.runs.performer.collect", collect_late)

    await mirrored.sync()

    assert_as_upstream(mirrored)


@pytest.mark.proves("reliability/disk")
async def test_tree_rolled_back_at_run_time_is_repaired(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """A snapshot rolled back while the syncer runs is found and reported by the next run."""
    async with mirrored.running() as running:
        kept = mirrored.data / "kept"
        shutil.copytree(mirrored.web, kept / "web")
        shutil.copy(mirrored.data / "pypi" / ".generation", kept)
        change(pypi)
        await running.sync()
        shutil.rmtree(mirrored.web)
        shutil.copytree(kept / "web", mirrored.web)
        shutil.copy(kept / ".generation", mirrored.data / "pypi")
        run = await running.sync()

    assert "the tree is older than the catalog" in (run.message or "")
    shutil.rmtree(kept)
    assert_as_upstream(mirrored)


async def test_verify_of_an_older_tree_marks_projects_behind(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """A verify after a rollback finds it, too: projects with an older page are behind, with the reason."""
    restore = copy(mirrored.data)
    change(pypi)
    await mirrored.sync()
    restore()
    async with mirrored.running() as running:
        await running.verify()
        row = running.row("six")

    assert row.state is ProjectState.BEHIND
    assert "older copy" in (row.error or "")


@pytest.mark.proves("reliability/disk")
async def test_reappeared_file_is_collected_again(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that was collected after the snapshot, and that no page names, is removed again."""
    mirrored.select("six", "idna", "toml", grace="24h", guard="100%")
    pypi.index.project("six").upload("1.1")
    pypi.index.project("six").delete_release("1.0")
    await mirrored.sync()
    left = [path for path in mirrored.web.glob("packages/*/six-1.0*") if path.is_file()]
    assert left
    restore = copy(mirrored.data)
    mirrored.sql("UPDATE retired SET due_at = 1 WHERE due_at IS NOT NULL")
    await mirrored.sync()
    assert not any(path.exists() for path in left)
    restore()

    await mirrored.sync()

    assert not any(path.exists() for path in left)
    mirrored.assert_whole()


@pytest.mark.proves("reliability/disk")
async def test_matching_tree_and_catalog_are_not_compared(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """A tree and a catalog copied together, killed or stopped, are used unchanged: each page is a 304."""
    change(pypi)
    await mirrored.sync()
    await mirrored.sync()
    for directory in (mirrored.data, mirrored.state):
        copy(directory)()
    pypi.log.forget()
    async with mirrored.running() as running:
        assert isinstance(running, Running)
        run = await running.sync("toml", "six")

    assert (run.state, run.message) == (RunState.SUCCEEDED, None)
    assert {exchange.status for exchange in pypi.log.exchanges if "/simple/" in exchange.path} == {304}


@pytest.mark.proves("reliability/disk")
async def test_diverged_copies_are_distinguished(mirrored: Site, pypi: fakepypi.FakePyPI) -> None:
    """The trees of two copies with equally many changes are distinguished."""
    trees = copy(mirrored.data)
    states = copy(mirrored.state)
    pypi.index.project("toml").upload("1.1")
    await mirrored.sync()
    generation = (mirrored.data / "pypi" / ".generation").read_text()
    other = mirrored.data.with_name("other")
    shutil.copytree(mirrored.data, other)
    trees()
    states()
    pypi.index.project("six").upload("1.1")
    await mirrored.sync("six")
    assert (mirrored.data / "pypi" / ".generation").read_text().split()[0] == generation.split()[0]
    shutil.rmtree(mirrored.data)
    shutil.copytree(other, mirrored.data)

    await mirrored.sync()

    assert "six-1.1.tar.gz" in mirrored.filenames("six")
    assert "toml-1.1.tar.gz" in mirrored.filenames("toml")
