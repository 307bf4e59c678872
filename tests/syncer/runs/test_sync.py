"""A sync downloads each file that upstream offers once, and publishes it for clients."""

import asyncio
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer.site import Site


async def test_first_sync_publishes_only_selected_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A first sync publishes the selected projects completely, and no others."""
    for name in ("six", "idna", "unwanted"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.pages() == ["idna", "six"]
    assert site.filenames("six") == {"six-1.0-py3-none-any.whl", "six-1.0.tar.gz"}
    site.assert_whole()


async def test_second_sync_of_an_unchanged_project_writes_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync of an unchanged project sends one conditional request and writes only the status file."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    before = modification_times(site)
    pypi.log.forget()

    run = await site.sync()

    assert (run.state, run.counts.projects_changed) == (RunState.SUCCEEDED, 0)
    assert [(exchange.path, exchange.status) for exchange in pypi.log] == [("/simple/six/", 304)]
    assert modification_times(site) == before


def modification_times(site: Site) -> dict[Path, int]:
    """Return the modification time of each published file except the status file."""
    files = (path for path in site.web.rglob("*") if path.is_file() and path.name != "status.json")
    return {path: path.stat().st_mtime_ns for path in files}


async def test_new_release_downloads_only_its_files(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync of a new release downloads its files, and no older file again."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six")
    await site.sync()
    pypi.log.forget()
    project.upload("1.1")

    run = await site.sync()

    assert run.counts.files_fetched == 2
    assert {path.rpartition("/")[2] for path in pypi.log.paths() if path.startswith("/packages/")} == {
        "six-1.1-py3-none-any.whl",
        "six-1.1.tar.gz",
    }
    site.assert_whole()


async def test_wheel_metadata_needs_no_request(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A wheel's metadata file is published without a request for it."""
    pypi.index.project("six").upload("1.0")
    site.select("six")

    await site.sync()

    assert not [path for path in pypi.log.paths() if path.endswith(".metadata")]
    file = site.published("six").files["six-1.0-py3-none-any.whl"]
    assert isinstance(file.core_metadata, str)
    site.assert_whole()


async def test_policy_with_latest_keeps_the_newest_releases(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With `latest`, the page keeps the newest releases, and an older release leaves it."""
    project = pypi.index.project("six")
    for version in ("1.0", "1.1", "2.0rc1"):
        project.upload(version, sdist=False)
    site.select("six", latest=1)
    await site.sync()
    assert site.filenames("six") == {"six-1.1-py3-none-any.whl"}

    project.upload("1.2", sdist=False)
    await site.sync()

    assert site.filenames("six") == {"six-1.2-py3-none-any.whl"}
    site.assert_whole()


async def test_wider_policy_downloads_more_after_a_304(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A policy that admits more releases downloads them, even if upstream answers 304."""
    project = pypi.index.project("six")
    project.upload("1.0", sdist=False)
    project.upload("1.1", sdist=False)
    site.select("six", latest=1)
    await site.sync()
    pypi.log.forget()

    site.select("six", latest=2)
    run = await site.sync()

    assert run.counts.files_fetched == 1
    assert [e.status for e in pypi.log.to("/simple/six/")] == [304]
    assert site.filenames("six") == {"six-1.0-py3-none-any.whl", "six-1.1-py3-none-any.whl"}

    site.select("six", latest=1)
    await site.sync()
    assert site.filenames("six") == {"six-1.1-py3-none-any.whl"}


@pytest.mark.proves("security/upstream")
async def test_published_page_carries_upstream_metadata(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page has upstream's yanks, requires-python, upload times, sizes, provenance, versions, serial and status."""
    project = pypi.index.project("six")
    project.upload("1.0", requires_python=">=3.8", provenance=True)
    project.upload("1.1")
    project.yank("1.0", reason='broken <metadata> & "quotes"')
    project.archive()
    site.select("six")

    await site.sync()

    page = site.published("six").page
    upstream_files = {file.filename: file for file in project.files}
    assert (page.status, page.versions, page.serial) == ("archived", ("1.0", "1.1"), project.listing().serial)
    for file in page.files:
        assert file.size == len(upstream_files[file.filename].content)
        assert file.upload_time is not None
    wheel = site.published("six").files["six-1.0-py3-none-any.whl"]
    assert wheel.yanked == 'broken <metadata> & "quotes"'
    assert wheel.requires_python == ">=3.8"
    assert wheel.provenance is not None


async def test_unyanked_file_is_no_longer_yanked(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that upstream un-yanks is no longer yanked in the mirror."""
    project = pypi.index.project("six")
    project.upload("1.0", sdist=False)
    project.yank("1.0")
    site.select("six")
    await site.sync()
    assert site.published("six").files["six-1.0-py3-none-any.whl"].yanked is True

    project.unyank("1.0")
    await site.sync()

    assert site.published("six").files["six-1.0-py3-none-any.whl"].yanked is False


async def test_project_list_is_sorted_by_name(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The project list names the published projects, sorted by name."""
    for name in ("six", "Idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "Idna")

    await site.sync()

    html = (site.web / "simple" / "index.html").read_text()
    assert html.index('href="idna/"') < html.index('href="six/"')


async def test_unknown_project_is_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that upstream does not have is reported, the others are mirrored, and the run is incomplete."""
    pypi.index.project("six").upload("1.0")
    site.select("six", "no-such-project")

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert [(f.project, "no such project" in f.reason) for f in run.failures] == [("no-such-project", True)]
    assert site.pages() == ["six"]


async def test_named_project_outside_the_policy_is_not_synced(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync NAME` of a project outside mirror.toml reports that and requests nothing."""
    pypi.index.project("six").upload("1.0")
    pypi.index.project("idna").upload("1.0")
    site.select("six")

    run = await site.sync("idna")

    assert run.state is RunState.INCOMPLETE
    assert "mirror.toml" in run.failures[0].reason
    assert pypi.log.paths() == []


async def test_forced_sync_restores_a_deleted_file(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A forced sync downloads a published file again if somebody deleted it."""
    pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    await site.sync()
    path = site.web / site.published("six").places["six-1.0-py3-none-any.whl"]
    path.unlink()

    run = await site.sync(force=True)

    assert run.counts.files_fetched == 1
    site.assert_whole()


async def test_verify_finds_and_repairs_damage(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A verify reports corrupt and missing files by name, and a repair downloads them to the same paths."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync()
        wheel, sdist = sorted(site.filenames("six"))
        places = site.published("six").places
        (site.web / places[wheel]).write_bytes(b"rot")
        (site.web / places[sdist]).unlink()

        found = await running.verify()
        repaired = await running.verify(repair=True)
        after = await running.verify()

    assert found.state is RunState.INCOMPLETE
    assert {(f.file, f.reason.partition(";")[0]) for f in found.failures} == {
        (wheel, "wrong on disk"),
        (sdist, "missing on disk"),
    }
    assert (repaired.state, after.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert site.published("six").places == places
    site.assert_whole()


async def test_sync_keeps_within_its_connections(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync never has more requests under way than the configured number of connections."""
    names = [f"project-{number}" for number in range(12)]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)

    async with site.running(connections=3) as running:
        run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert pypi.log.peak <= 3


async def test_named_sync_during_a_long_sync_ends_first(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync NAME` ends while a whole sync waits for other projects, and the whole sync then continues."""
    names = [f"project-{number}" for number in range(20)]
    for name in (*names, "wanted"):
        pypi.index.project(name).upload("1.0")
    site.select(*names, "wanted")
    gates = [pypi.faults.on_page(name).gate() for name in names]

    async with site.running(connections=2) as running:
        long = running.ask(RunKind.SYNC)
        _, pending = await asyncio.wait(
            [asyncio.create_task(gate.arrival()) for gate in gates], return_when=asyncio.FIRST_COMPLETED
        )
        named = await running.sync("wanted")
        assert named.state is RunState.SUCCEEDED
        assert not long.state.ended
        assert site.pages() == ["wanted"]
        for gate in gates:
            gate.open()
        assert (await running.ended(long)).state is RunState.SUCCEEDED
        for task in pending:
            task.cancel()
    assert len(site.pages()) == 21
    site.assert_whole()
