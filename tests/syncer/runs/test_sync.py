"""A sync: what upstream has comes here, once, and is found by clients."""

import asyncio
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer.site import Site


async def test_first_sync_publishes_what_is_selected(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The selected projects, and no others, are published whole."""
    for name in ("six", "idna", "unwanted"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.pages() == ["idna", "six"]
    assert site.filenames("six") == {"six-1.0-py3-none-any.whl", "six-1.0.tar.gz"}
    site.assert_whole()


async def test_second_sync_fetches_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An unchanged project costs one conditional request, answered 304, and writes nothing but how the run was."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    before = times(site)
    pypi.log.forget()

    run = await site.sync()

    assert (run.state, run.counts.projects_changed) == (RunState.SUCCEEDED, 0)
    assert [(exchange.path, exchange.status) for exchange in pypi.log] == [("/simple/six/", 304)]
    assert times(site) == before


def times(site: Site) -> dict[Path, int]:
    """Return when each published file was written, but for what tells of runs."""
    files = (path for path in site.web.rglob("*") if path.is_file() and path.name != "status.json")
    return {path: path.stat().st_mtime_ns for path in files}


async def test_new_release_fetches_only_itself(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A new release costs its page and its files; what is here is not fetched again."""
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


async def test_metadata_comes_out_of_the_wheel(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A wheel's metadata file is published without a request of its own."""
    pypi.index.project("six").upload("1.0")
    site.select("six")

    await site.sync()

    assert not [path for path in pypi.log.paths() if path.endswith(".metadata")]
    file = site.published("six").files["six-1.0-py3-none-any.whl"]
    assert isinstance(file.core_metadata, str)
    site.assert_whole()


async def test_latest_keeps_the_newest_releases(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`latest` and specifiers choose releases; a release that is no longer among them leaves its page."""
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


async def test_widened_policy_fetches_from_a_304(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A policy that admits more brings what was held back, though upstream's page did not change."""
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
async def test_page_carries_what_upstream_says(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Yanks with their reason, requires-python, upload time, size, provenance, versions, serial and status arrive."""
    project = pypi.index.project("six")
    project.upload("1.0", requires_python=">=3.8", provenance=True)
    project.upload("1.1")
    project.yank("1.0", reason='broken <metadata> & "quotes"')
    project.archive()
    site.select("six")

    await site.sync()

    page = site.published("six").page
    theirs = {file.filename: file for file in project.files}
    assert (page.status, page.versions, page.serial) == ("archived", ("1.0", "1.1"), project.listing().serial)
    for file in page.files:
        assert file.size == len(theirs[file.filename].content)
        assert file.upload_time is not None
    wheel = site.published("six").files["six-1.0-py3-none-any.whl"]
    assert wheel.yanked == 'broken <metadata> & "quotes"'
    assert wheel.requires_python == ">=3.8"
    assert wheel.provenance is not None


async def test_unyank_and_requires_python_follow(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What upstream takes back is taken back here: PEP 592's yank is mutable."""
    project = pypi.index.project("six")
    project.upload("1.0", sdist=False)
    project.yank("1.0")
    site.select("six")
    await site.sync()
    assert site.published("six").files["six-1.0-py3-none-any.whl"].yanked is True

    project.unyank("1.0")
    await site.sync()

    assert site.published("six").files["six-1.0-py3-none-any.whl"].yanked is False


async def test_project_list_names_what_is_published(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The list holds the published projects, with serials, sorted."""
    for name in ("six", "Idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "Idna")

    await site.sync()

    html = (site.web / "simple" / "index.html").read_text()
    assert html.index('href="idna/"') < html.index('href="six/"')


async def test_unknown_project_is_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that upstream does not have is named as such; the others are mirrored; the run is incomplete."""
    pypi.index.project("six").upload("1.0")
    site.select("six", "no-such-project")

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert [(f.project, "no such project" in f.reason) for f in run.failures] == [("no-such-project", True)]
    assert site.pages() == ["six"]


async def test_unselected_project_is_not_synced(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync NAME` of a project outside mirror.toml says so, and fetches nothing."""
    pypi.index.project("six").upload("1.0")
    pypi.index.project("idna").upload("1.0")
    site.select("six")

    run = await site.sync("idna")

    assert run.state is RunState.INCOMPLETE
    assert "mirror.toml" in run.failures[0].reason
    assert pypi.log.paths() == []


async def test_force_fetches_what_vanished(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A published file that somebody removed comes back by `--force`, and by nothing less."""
    pypi.index.project("six").upload("1.0", sdist=False)
    site.select("six")
    await site.sync()
    path = site.web / site.published("six").places["six-1.0-py3-none-any.whl"]
    path.unlink()

    run = await site.sync(force=True)

    assert run.counts.files_fetched == 1
    site.assert_whole()


async def test_verify_finds_and_repairs_damage(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Rotten and missing files are found by hash, told by name, and fetched again into their places."""
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


async def test_connections_stay_within_the_budget(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """There are never more requests under way than connections are configured."""
    names = [f"project-{number}" for number in range(12)]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)

    async with site.running(connections=3) as running:
        run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert pypi.log.peak <= 3


async def test_named_sync_overtakes_a_long_one(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """`sync NAME` ends while a whole sync is held up by other projects, which then goes on."""
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
