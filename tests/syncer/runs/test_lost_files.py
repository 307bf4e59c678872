"""Files that upstream's pages no longer name: the deletion guard counts each as a removal."""

from collections.abc import Callable
from typing import Any

import pytest

import fakepypi
from mirror_contract import ProjectState, RunState
from syncer.site import Site

NAMES = [f"p{number:02}" for number in range(12)]
FIRST = NAMES[0]
VERSIONS = ("1.0", "2.0", "3.0")

Select = Callable[[Site], None]


def select_by_name(site: Site) -> None:
    """Select the twelve projects by name, without a grace period."""
    site.select(*NAMES, grace="0h")


def select_whole_index(site: Site) -> None:
    """Select the whole index, without a grace period."""
    site.everything(grace="0h")


@pytest.fixture
async def twelve(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A host whose upstream has twelve projects with three releases each; a run may remove six projects."""
    for name in NAMES:
        for version in VERSIONS:
            pypi.index.project(name).upload(version, sdist=False)
    return site


def wheel(name: str, version: str) -> str:
    """Return a wheel's file name."""
    return f"{name}-{version}-py3-none-any.whl"


def releases(name: str, *versions: str) -> set[str]:
    """Return the wheels of these releases."""
    return {wheel(name, version) for version in versions}


def drop_files(pypi: fakepypi.FakePyPI, *names: str, keep: int = 0) -> None:
    """Let pages name only their first files; raise the serials, so that a whole-index sync requests the pages."""
    for name in names:
        pypi.index.project(name).invite("mallory")
        pypi.faults.on_page(name).edit(lambda page: page.update(files=page["files"][:keep]))


@pytest.mark.proves("reliability/removal", "security/upstream")
@pytest.mark.parametrize("scope", [select_by_name, select_whole_index])
@pytest.mark.parametrize("keep", [0, 1, 2])
async def test_lost_files_beyond_the_limit_are_withheld(
    twelve: Site, pypi: fakepypi.FakePyPI, scope: Select, keep: int
) -> None:
    """Lost files beyond the guard's limit stay, run after run, until an operator confirms the removal."""
    scope(twelve)
    await twelve.sync()
    drop_files(pypi, *NAMES, keep=keep)

    async with twelve.running() as running:
        first = await running.sync()
        second = await running.sync()
        row = running.row(FIRST)
        published = {name: twelve.filenames(name) for name in NAMES}
        allowed = await running.sync(allow_removals=12)
        after = running.row(FIRST)

    for run in (first, second):
        assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.INCOMPLETE, 12, 0)
        assert sorted(run.withheld) == sorted(NAMES)
        assert "mirrorctl sync --allow-removals 12" in (run.message or "")
    assert published == {name: releases(name, *VERSIONS) for name in NAMES}
    assert (row.state, row.lost_files) == (ProjectState.BEHIND, 3 - keep)
    assert "the deletion guard keeps them" in (row.error or "")
    assert (allowed.state, allowed.counts.files_removed) == (RunState.SUCCEEDED, 12 * (3 - keep))
    assert allowed.withheld == []
    assert (after.state, after.lost_files, after.due_at) == (ProjectState.CURRENT, 0, None)
    assert {name: twelve.filenames(name) for name in NAMES} == {
        name: releases(name, *VERSIONS[:keep]) for name in NAMES
    }
    twelve.assert_whole()


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("hashes", [{"md5": "0" * 32}, {"sha256": "0" * 64}], ids=["no sha256", "wrong sha256"])
@pytest.mark.parametrize("scope", [select_by_name, select_whole_index])
async def test_files_that_cannot_be_downloaded_count_as_lost(
    twelve: Site, pypi: fakepypi.FakePyPI, scope: Select, hashes: dict[str, str]
) -> None:
    """Published files that upstream's pages still name, but with hashes that match no file, count as lost."""

    def spoil(page: dict[str, Any]) -> None:
        for file in page["files"][1:]:
            file["hashes"] = hashes

    scope(twelve)
    await twelve.sync()
    for name in NAMES:
        pypi.index.project(name).invite("mallory")
        pypi.faults.on_page(name).edit(spoil)

    for _ in range(2):
        run = await twelve.sync()
        assert (run.counts.projects_withheld, run.counts.files_removed) == (12, 0)

    assert {name: twelve.filenames(name) for name in NAMES} == {name: releases(name, *VERSIONS) for name in NAMES}
    twelve.assert_whole()


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("scope", [select_by_name, select_whole_index])
async def test_changed_content_counts_as_lost(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """Other content under a published name replaces ours only within the guard's limit, or after confirmation."""
    scope(twelve)
    await twelve.sync()
    ours = {name: twelve.content(name, wheel(name, "1.0")) for name in NAMES}
    for name in NAMES:
        project = pypi.index.project(name)
        for version in VERSIONS:
            project.upload_file(wheel(name, version), f"{name} {version}".encode(), version=version, replace=True)

    withheld = await twelve.sync()
    published = {name: twelve.content(name, wheel(name, "1.0")) for name in NAMES}
    allowed = await twelve.sync(allow_removals=12)

    assert (withheld.counts.projects_withheld, withheld.counts.files_removed, published) == (12, 0, ours)
    assert (allowed.state, allowed.counts.files_removed) == (RunState.SUCCEEDED, 36)
    assert twelve.content(FIRST, wheel(FIRST, "1.0")) != ours[FIRST]
    twelve.assert_whole()


@pytest.mark.proves("reliability/removal", "security/upstream")
@pytest.mark.parametrize("scope", [select_by_name, select_whole_index])
async def test_losses_of_one_day_count_together(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """The guard counts all losses of one day together, each project once, and forgets them a day later."""
    scope(twelve)
    await twelve.sync()
    for name in NAMES[:5]:
        pypi.index.project(name).delete_release("1.0")
    first = await twelve.sync()
    for name in NAMES[4:6]:
        pypi.index.project(name).delete_release("2.0")
    second = await twelve.sync()
    for name in (*NAMES[:5], NAMES[6]):
        pypi.index.project(name).delete_release("3.0")
    third = await twelve.sync()
    twelve.sql(f"UPDATE about SET value = '{{\"{NAMES[7]}\": 1}}' WHERE key = 'taken'")
    a_day_later = await twelve.sync()

    assert [run.counts.projects_withheld for run in (first, second, third, a_day_later)] == [0, 0, 6, 0]
    assert [run.counts.files_removed for run in (first, second, third, a_day_later)] == [5, 2, 0, 6]
    twelve.assert_whole()


@pytest.mark.parametrize("scope", [select_by_name, select_whole_index])
async def test_few_lost_files_leave_in_the_same_run(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """Lost files within the guard's limit are removed in the same run."""
    scope(twelve)
    await twelve.sync()
    for version in VERSIONS:
        pypi.index.project(FIRST).delete_release(version)

    run = await twelve.sync()

    assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 3)
    assert twelve.filenames(FIRST) == set()
    assert twelve.filenames(NAMES[1]) == releases(NAMES[1], *VERSIONS)


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("scope", [select_by_name, select_whole_index])
async def test_lost_files_that_return_are_not_withheld(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """Once upstream has its files again, the mirror follows it and the guard withholds nothing."""
    scope(twelve)
    await twelve.sync()
    drop_files(pypi, *NAMES)
    await twelve.sync()
    pypi.faults.clear()
    for name in NAMES:
        pypi.index.project(name).upload("4.0", sdist=False)

    async with twelve.running() as running:
        run = await running.sync()
        row = running.row(FIRST)

    assert (run.state, run.counts.projects_withheld) == (RunState.SUCCEEDED, 0)
    assert (row.state, row.lost_files) == (ProjectState.CURRENT, 0)
    assert twelve.filenames(FIRST) == releases(FIRST, *VERSIONS, "4.0")


@pytest.mark.proves("reliability/removal")
async def test_new_files_are_published_beside_withheld_ones(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page's new files are published at once, and do not hide how many files it lost."""
    select_by_name(twelve)
    await twelve.sync()
    new = [f"{number}.0" for number in range(4, 9)]
    for name in NAMES:
        for version in VERSIONS:
            pypi.index.project(name).delete_release(version)
        for version in new:
            pypi.index.project(name).upload(version, sdist=False)

    async with twelve.running() as running:
        for _ in range(2):
            run = await running.sync()
            assert (run.counts.projects_withheld, run.counts.files_removed) == (12, 0)
            assert twelve.filenames(FIRST) == releases(FIRST, *VERSIONS, *new)

    assert sorted(twelve.published(FIRST).page.versions) == sorted({*VERSIONS, *new})
    twelve.assert_whole()


@pytest.mark.proves("reliability/removal")
async def test_lost_files_and_deleted_projects_count_together(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """The guard adds four deleted projects to four that lost files, and withholds all eight beyond its limit of six."""
    select_by_name(twelve)
    await twelve.sync()
    drop_files(pypi, *NAMES[:4])
    for name in NAMES[4:8]:
        pypi.index.project(name).delete()

    run = await twelve.sync()

    assert (run.counts.projects_withheld, run.counts.projects_withdrawn, run.counts.files_removed) == (8, 0, 0)
    assert twelve.pages() == NAMES


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("scope", [Site.select, Site.everything])
async def test_guard_of_100_percent_withholds_nothing(
    twelve: Site, pypi: fakepypi.FakePyPI, scope: Callable[..., None]
) -> None:
    """A guard of 100 % withholds nothing, even if few of the day's projects are left."""
    scope(twelve, *NAMES, grace="0h", guard="100%")
    await twelve.sync()
    for some in (NAMES[:7], NAMES[7:11]):
        for name in some:
            pypi.index.project(name).delete()
        await twelve.sync(force=True)
    drop_files(pypi, NAMES[11])

    run = await twelve.sync()

    assert run.counts.projects_withheld == 0
    assert (twelve.pages(), twelve.filenames(NAMES[11])) == (NAMES[11:], set())


@pytest.mark.proves("reliability/removal")
async def test_quarantine_needs_no_confirmation(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """Files of quarantined projects leave in the same run, however many projects are quarantined."""
    select_by_name(twelve)
    await twelve.sync()
    for name in NAMES:
        pypi.index.project(name).quarantine()

    run = await twelve.sync()

    assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 36)
    assert not any(twelve.filenames(name) for name in NAMES)


@pytest.mark.proves("reliability/removal")
async def test_narrower_policy_needs_no_confirmation(twelve: Site) -> None:
    """Files that a changed mirror.toml excludes are removed without confirmation, even if they are the majority."""
    select_by_name(twelve)
    await twelve.sync()
    twelve.select(*NAMES, latest=1, grace="0h")

    run = await twelve.sync()

    assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 24)
    assert twelve.filenames(FIRST) == releases(FIRST, "3.0")


async def test_named_sync_removes_only_its_own_lost_files(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync of a named project removes the files that it lost, and no others that the guard keeps."""
    select_by_name(twelve)
    await twelve.sync()
    drop_files(pypi, *NAMES)
    await twelve.sync()

    run = await twelve.sync(FIRST)

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 3)
    assert (twelve.filenames(FIRST), twelve.filenames(NAMES[1])) == (set(), releases(NAMES[1], *VERSIONS))


@pytest.mark.proves("reliability/removal")
async def test_project_with_a_lost_and_a_failed_file_is_counted_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project with one lost and one failed file is processed twice in a run and reported once."""
    for name in ("six", "idna", "click"):
        pypi.index.project(name).upload("1.0", sdist=False)
        pypi.index.project(name).upload("2.0", sdist=False)
    site.select("six", "idna", "click", grace="0h")
    async with site.running() as running:
        await running.sync()
        pypi.index.project("six").delete_release("1.0")
        pypi.index.project("six").upload("3.0", sdist=False)
        pypi.faults.on_file("six-3.0-py3-none-any.whl").status(404)
        run = await running.sync()

    assert site.filenames("six") == {"six-2.0-py3-none-any.whl"}
    assert (run.counts.projects_partial, run.counts.files_failed) == (1, 1)
    assert [failure.file for failure in run.failures] == ["six-3.0-py3-none-any.whl"]
    assert run.message == "1 project(s) lack files that could not be downloaded"
