"""What an upstream that forgot its files cannot do: a page without them is a removal like any other."""

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


def selected(site: Site) -> None:
    """Want the twelve projects by name, and let nothing linger."""
    site.select(*NAMES, grace="0h")


def everything(site: Site) -> None:
    """Want all that upstream lists, and let nothing linger."""
    site.everything(grace="0h")


@pytest.fixture
async def twelve(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A host before twelve projects of three releases, of which a run may remove six."""
    for name in NAMES:
        for version in VERSIONS:
            pypi.index.project(name).upload(version, sdist=False)
    return site


def wheel(name: str, version: str) -> str:
    """Return a wheel's file name."""
    return f"{name}-{version}-py3-none-any.whl"


def releases(name: str, *versions: str) -> set[str]:
    """Return the files of some releases."""
    return {wheel(name, version) for version in versions}


def forget(pypi: fakepypi.FakePyPI, *names: str, but: int = 0) -> None:
    """Let pages name their first files alone, or none; serials move, so that a mirror of everything asks for them."""
    for name in names:
        pypi.index.project(name).invite("mallory")
        pypi.faults.on_page(name).edit(lambda page: page.update(files=page["files"][:but]))


@pytest.mark.proves("reliability/removal", "security/upstream")
@pytest.mark.parametrize("scope", [selected, everything])
@pytest.mark.parametrize("but", [0, 1, 2])
async def test_forgotten_files_stay(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select, but: int) -> None:
    """What pages lose is withheld beyond the bound, run after run; a person's word lets it go."""
    scope(twelve)
    await twelve.sync()
    forget(pypi, *NAMES, but=but)

    async with twelve.running() as running:
        first = await running.sync()
        second = await running.sync()
        row = running.row(FIRST)
        kept = {name: twelve.filenames(name) for name in NAMES}
        allowed = await running.sync(allow_removals=12)
        after = running.row(FIRST)

    for run in (first, second):
        assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.INCOMPLETE, 12, 0)
        assert "mirrorctl sync --allow-removals 12" in (run.message or "")
    assert kept == {name: releases(name, *VERSIONS) for name in NAMES}
    assert (row.state, row.lost_files) == (ProjectState.BEHIND, 3 - but)
    assert "the deletion guard keeps them" in (row.error or "")
    assert (allowed.state, allowed.counts.files_removed) == (RunState.SUCCEEDED, 12 * (3 - but))
    assert (after.state, after.lost_files, after.due_at) == (ProjectState.CURRENT, 0, None)
    assert {name: twelve.filenames(name) for name in NAMES} == {name: releases(name, *VERSIONS[:but]) for name in NAMES}
    twelve.assert_whole()


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("hashes", [{"md5": "0" * 32}, {"sha256": "0" * 64}], ids=["no sha256", "of nothing"])
@pytest.mark.parametrize("scope", [selected, everything])
async def test_named_in_vain(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select, hashes: dict[str, str]) -> None:
    """Pages that go on naming their files, but in a way that none of them can be had, lose them like any other."""

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
@pytest.mark.parametrize("scope", [selected, everything])
async def test_other_content_is_a_loss(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """Other content under all names takes the place of ours only within the bound, or by a person's word."""
    scope(twelve)
    await twelve.sync()
    ours = {name: twelve.content(name, wheel(name, "1.0")) for name in NAMES}
    for name in NAMES:
        project = pypi.index.project(name)
        for version in VERSIONS:
            project.upload_file(wheel(name, version), f"{name} {version}".encode(), version=version, replace=True)

    withheld = await twelve.sync()
    kept = {name: twelve.content(name, wheel(name, "1.0")) for name in NAMES}
    allowed = await twelve.sync(allow_removals=12)

    assert (withheld.counts.projects_withheld, withheld.counts.files_removed, kept) == (12, 0, ours)
    assert (allowed.state, allowed.counts.files_removed) == (RunState.SUCCEEDED, 36)
    assert twelve.content(FIRST, wheel(FIRST, "1.0")) != ours[FIRST]
    twelve.assert_whole()


@pytest.mark.proves("reliability/removal", "security/upstream")
@pytest.mark.parametrize("scope", [selected, everything])
async def test_a_little_in_each_run(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """What upstream takes within a day is measured together, each project once; a day later it is forgotten."""
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


@pytest.mark.parametrize("scope", [selected, everything])
async def test_few_leave_in_the_same_run(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """Within the bound a project that lost its files has lost them here, too, when the run has ended."""
    scope(twelve)
    await twelve.sync()
    for version in VERSIONS:
        pypi.index.project(FIRST).delete_release(version)

    run = await twelve.sync()

    assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 3)
    assert twelve.filenames(FIRST) == set()
    assert twelve.filenames(NAMES[1]) == releases(NAMES[1], *VERSIONS)


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("scope", [selected, everything])
async def test_what_came_back_is_no_removal(twelve: Site, pypi: fakepypi.FakePyPI, scope: Select) -> None:
    """An upstream that has its files again is followed again, and the guard has forgotten."""
    scope(twelve)
    await twelve.sync()
    forget(pypi, *NAMES)
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
async def test_new_files_wait_for_nobody(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """What a page names anew is published beside what it lost, and however much that is, it thins the loss out not."""
    selected(twelve)
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
async def test_lost_and_gone_are_counted_together(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """Four projects that are gone and four that lost their files are eight removals: more than six."""
    selected(twelve)
    await twelve.sync()
    forget(pypi, *NAMES[:4])
    for name in NAMES[4:8]:
        pypi.index.project(name).delete()

    run = await twelve.sync()

    assert (run.counts.projects_withheld, run.counts.projects_withdrawn, run.counts.files_removed) == (8, 0, 0)
    assert twelve.pages() == NAMES


@pytest.mark.proves("reliability/removal")
@pytest.mark.parametrize("scope", [Site.select, Site.everything])
async def test_guard_that_is_off(twelve: Site, pypi: fakepypi.FakePyPI, scope: Callable[..., None]) -> None:
    """A guard of 100 % withholds nothing, however little of a day's projects is left."""
    scope(twelve, *NAMES, grace="0h", guard="100%")
    await twelve.sync()
    for some in (NAMES[:7], NAMES[7:11]):
        for name in some:
            pypi.index.project(name).delete()
        await twelve.sync(force=True)
    forget(pypi, NAMES[11])

    run = await twelve.sync()

    assert run.counts.projects_withheld == 0
    assert (twelve.pages(), twelve.filenames(NAMES[11])) == (NAMES[11:], set())


@pytest.mark.proves("reliability/removal")
async def test_quarantine_asks_nobody(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """However many projects upstream quarantines, nothing of them is offered when the run has ended."""
    selected(twelve)
    await twelve.sync()
    for name in NAMES:
        pypi.index.project(name).quarantine()

    run = await twelve.sync()

    assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 36)
    assert not any(twelve.filenames(name) for name in NAMES)


@pytest.mark.proves("reliability/removal")
async def test_policy_is_not_upstream(twelve: Site) -> None:
    """Files that the operator's own mirror.toml leaves out from now on leave unasked, though it is most of them."""
    selected(twelve)
    await twelve.sync()
    twelve.select(*NAMES, latest=1, grace="0h")

    run = await twelve.sync()

    assert (run.state, run.counts.projects_withheld, run.counts.files_removed) == (RunState.SUCCEEDED, 0, 24)
    assert twelve.filenames(FIRST) == releases(FIRST, "3.0")


async def test_named_project_is_measured_alike(twelve: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run of named projects lets go of what these lost, and of no others that the guard keeps."""
    selected(twelve)
    await twelve.sync()
    forget(pypi, *NAMES)
    await twelve.sync()

    run = await twelve.sync(FIRST)

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 3)
    assert (twelve.filenames(FIRST), twelve.filenames(NAMES[1])) == (set(), releases(NAMES[1], *VERSIONS))


@pytest.mark.proves("reliability/removal")
async def test_project_that_shrinks_is_counted_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A page that drops one file and has another refused is looked at twice in a run, and reported once."""
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
