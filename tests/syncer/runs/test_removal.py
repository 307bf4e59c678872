"""Removal and return: the page changes first, the file leaves later, and both return with upstream."""

import json

import pytest

import fakepypi
from mirror_contract import ProjectState, RunState
from syncer.site import Site

WHEEL = "six-1.0-py3-none-any.whl"


async def test_deleted_file_leaves_its_page_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file deleted upstream leaves its page in the next sync, and its URL works until the grace period is over."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six", grace="24h")
    await site.sync()
    place = site.published("six").places[WHEEL]

    project.delete_file(WHEEL)
    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert WHEEL not in site.filenames("six")
    assert (site.web / place).exists()
    site.assert_whole()


async def test_deleted_file_is_removed_after_its_grace_period(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A deleted file and its metadata are removed once the grace period is over."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six", grace="0h")
    await site.sync()
    place = site.published("six").places[WHEEL]

    project.delete_file(WHEEL)
    run = await site.sync()

    assert run.counts.files_removed == 1
    assert not (site.web / place).exists()
    assert not (site.web / f"{place}.metadata").exists()
    site.assert_whole()


async def test_deleted_file_that_returns_is_not_downloaded_again(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A file that returns upstream within its grace period is published again without a download."""
    project = pypi.index.project("six")
    release = project.upload("1.0")
    content, metadata = release.files[WHEEL].content, release.files[WHEEL].metadata
    site.select("six")
    await site.sync()
    project.delete_file(WHEEL)
    await site.sync()
    project.upload_file(WHEEL, content, version="1.0", metadata=metadata, replace=True)

    async with site.running() as running:
        run = await running.sync()
        collected = await running.collect()

    assert (run.counts.files_fetched, collected.counts.files_removed) == (0, 0)
    assert WHEEL in site.filenames("six")
    site.assert_whole()


@pytest.mark.proves("security/project-owners")
async def test_quarantined_project_loses_its_files_and_returns(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A quarantined project's files leave the document root in the same run, and return without a download."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six")
    await site.sync()
    place = site.published("six").places[WHEEL]

    project.quarantine()
    run = await site.sync()

    assert run.counts.files_removed == 2
    assert (site.published("six").page.status, site.filenames("six")) == ("quarantined", set())
    assert not (site.web / place).exists()

    project.clear_quarantine()
    run = await site.sync()

    assert run.counts.files_fetched == 0
    assert WHEEL in site.filenames("six")
    site.assert_whole()


@pytest.mark.proves("reliability/removal")
async def test_yanked_file_is_marked_until_it_is_unyanked(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Both page formats mark a yanked file with its reason, until upstream un-yanks it."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six")
    await site.sync()
    html = site.web / "simple/six/index.html"

    project.yank("1.0", reason="broken & worse")
    run = await site.sync()

    assert {file.yanked for file in site.published("six").files.values()} == {"broken & worse"}
    assert html.read_text().count('data-yanked="broken &amp; worse"') == 2
    assert (run.counts.files_fetched, run.counts.files_removed) == (0, 0)

    project.unyank("1.0")
    await site.sync()

    assert {file.yanked for file in site.published("six").files.values()} == {False}
    assert "data-yanked" not in html.read_text()
    site.assert_whole()


@pytest.mark.proves("reliability/removal")
async def test_deleted_release_that_returns_keeps_its_urls(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A deleted release leaves its page at once and its files after the grace period, and returns at the same URLs."""
    project = pypi.index.project("six")
    files = project.upload("1.0").files
    project.upload("2.0")
    site.select("six", grace="0h")
    await site.sync()
    places = {name: site.published("six").places[name] for name in files}

    project.delete_release("1.0")
    run = await site.sync()

    assert run.counts.files_removed == 2
    assert site.filenames("six") == {"six-2.0.tar.gz", "six-2.0-py3-none-any.whl"}
    assert not any((site.web / place).exists() for place in places.values())

    for name, file in files.items():
        project.upload_file(name, file.content, version="1.0", metadata=file.metadata, replace=True)
    run = await site.sync()

    assert run.counts.files_fetched == 2
    assert {name: site.published("six").places[name] for name in files} == places
    site.assert_whole()


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("status", ["archived", "deprecated"])
async def test_project_status_is_published(site: Site, pypi: fakepypi.FakePyPI, status: str) -> None:
    """An archived or deprecated project offers its files as before, and both page formats show its status."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    project_status = {"status": status, "reason": "use seven"}
    pypi.faults.on_page("six").edit(lambda page: page.update({"project-status": project_status}))

    run = await site.sync(force=True)

    assert (run.state, run.counts.files_fetched, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 0)
    assert json.loads((site.web / "simple/six/index.v1_json").read_bytes())["project-status"] == project_status
    html = (site.web / "simple/six/index.html").read_text()
    assert f'<meta name="pypi:project-status" content="{status}">' in html
    assert '<meta name="pypi:project-status-reason" content="use seven">' in html
    assert site.filenames("six") == {WHEEL, "six-1.0.tar.gz"}
    site.assert_whole()


@pytest.mark.proves("reliability/removal")
async def test_quarantine_ends_a_grace_period(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A quarantine also removes files that were deleted before and are still in their grace period."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six", grace="24h")
    await site.sync()
    place = site.published("six").places[WHEEL]
    project.delete_file(WHEEL)
    await site.sync()
    assert (site.web / place).exists()

    project.quarantine()
    run = await site.sync()

    assert run.counts.files_removed == 2
    assert not [path for path in site.web.rglob("six-*") if path.is_file()]


async def test_vanished_project_is_withdrawn_and_reported(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that vanished upstream is withdrawn, and each run reports it until it is unselected."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")
    await site.sync()

    pypi.index.project("six").delete()
    first = await site.sync()
    second = await site.sync()

    for run in (first, second):
        assert run.state is RunState.INCOMPLETE
        assert [f.project for f in run.failures] == ["six"]
    assert site.pages() == ["idna"]
    assert "six" not in (site.web / "simple" / "index.html").read_text()
    site.assert_whole()


async def test_recreated_project_is_published_again(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project re-created upstream is published again."""
    project = pypi.index.project("six")
    project.upload("1.0")
    site.select("six")
    await site.sync()
    project.delete()
    await site.sync()
    project.create()
    project.upload("2.0")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert "six-2.0.tar.gz" in site.filenames("six")
    site.assert_whole()


async def test_unselected_project_is_removed(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project removed from mirror.toml leaves the list at once; its files are removed after the grace period."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna", grace="0h")
    await site.sync()

    site.select("idna", grace="0h")
    run = await site.sync()

    assert (run.state, run.counts.projects_withdrawn, run.counts.files_removed) == (RunState.SUCCEEDED, 1, 2)
    assert site.pages() == ["idna"]
    assert not [path for path in site.web.rglob("six*") if path.is_file()]


async def test_guard_withholds_only_removals(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Beyond its limit the guard withholds only the removals, and the run names the option that confirms them."""
    names = [f"project-{number:02}" for number in range(60)]
    for name in names:
        pypi.index.project(name).create()
    site.select("six", *names)
    pypi.index.project("six").upload("1.0")
    await site.sync()
    pypi.index.project("six").upload("1.1")

    site.select("six")
    async with site.running() as running:
        withheld = await running.sync()
        assert withheld.state is RunState.INCOMPLETE
        assert "--allow-removals 60" in (withheld.message or "")
        assert sorted(withheld.withheld) == names
        assert len(site.pages()) == 61
        assert "six-1.1.tar.gz" in site.filenames("six")

        allowed = await running.sync(allow_removals=60)
        states = running.mirror.catalog.projects.totals().projects

    assert (allowed.state, allowed.counts.projects_withdrawn) == (RunState.SUCCEEDED, 60)
    assert states[ProjectState.WITHDRAWN] == 60
    assert site.pages() == ["six"]
