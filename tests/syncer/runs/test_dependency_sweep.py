"""What no chain of requirements reaches any longer leaves, and nothing else."""

from datetime import UTC, datetime

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.indexes import choose, upload
from syncer.site import Site


@pytest.fixture
async def mirror(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """Return a mirror of two lines that share one dependency."""
    upload(pypi, "app 1.0: lib, shared", "lib 1.0: base", "base 1.0", "shared 1.0", "other 1.0: shared")
    choose(site, "app", "other")
    await site.sync()
    assert site.pages() == ["app", "base", "lib", "other", "shared"]
    return site


@pytest.mark.parametrize("is_down", [False, True])
async def test_line_that_goes_takes_its_own_closure_along(
    mirror: Site, pypi: fakepypi.FakePyPI, *, is_down: bool
) -> None:
    """A removed line leaves in one run with exactly what only it needed, also while upstream is down."""
    lines = [f"line{number}" for number in range(12)]  # ten that do not answer end a run
    upload(pypi, *(f"{line} 1.0" for line in lines))
    choose(mirror, "app", "other", *lines)
    await mirror.sync()
    choose(mirror, "other", *lines)
    if is_down:
        pypi.faults.everywhere().status(200).reset(0)  # a 304 has nothing to cut
    run = await mirror.sync()

    assert run.state is (RunState.FAILED if is_down else RunState.SUCCEEDED)
    assert mirror.pages() == sorted(["other", "shared", *lines])


async def test_guard_holds_the_closure_of_a_line(mirror: Site) -> None:
    """Projects of a removed line leave under the deletion guard: too many of them stay until a person allows it."""
    mirror.policy.write_text('[mirror]\nprojects = ["other"]\n[removal]\nguard = "1%"\ngrace = "0m"\n')
    run = await mirror.sync()

    assert run.state is RunState.INCOMPLETE
    assert run.counts.projects_withheld == 3
    assert mirror.pages() == ["app", "base", "lib", "other", "shared"]

    run = await mirror.sync(allow_removals=3)
    assert mirror.pages() == ["other", "shared"]


async def test_requirement_that_vanishes_takes_its_project_away(mirror: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that a new release no longer requires leaves in the same run if the old release does."""
    upload(pypi, "app 2.0: shared")
    run = await mirror.sync()

    assert run.state is RunState.SUCCEEDED
    assert mirror.pages() == ["app", "other", "shared"]


async def test_superseded_release_keeps_what_it_requires_until_it_leaves(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What only a superseded release requires stays as long as that release, and leaves after it."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app", superseded="1d")
    await site.sync()
    upload(pypi, "app 2.0", uploaded_at=datetime.now(UTC))
    await site.sync()
    assert len(site.filenames("app")) == 2
    assert site.pages() == ["app", "lib"]

    choose(site, "app", superseded="0m")
    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}
    assert site.pages() == ["app"]


async def test_closure_expires_with_a_superseded_release(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The closure is resolved again when a superseded release leaves, since what it requires may leave then."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app", superseded="1d")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0", uploaded_at=datetime.now(UTC))
        await running.sync()
        closure = running.mirror.policy.current.closure
        assert closure is not None
        assert closure.expires_at == running.row("app").expires_at
        assert closure.expires_at is not None


async def test_mirror_from_before_loses_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A mirror whose projects are lines, from before dependencies were followed, keeps all of them."""
    upload(pypi, "app 1.0: lib", "lib 1.0: base", "lib 2.0: base", "base 1.0", "extra 1.0")
    off = "[dependencies]\nfollow = false\n"
    choose(site, "app", "lib", "base", "extra", latest=None, more=off)
    await site.sync()
    choose(site, "app", "lib", "base", "extra", latest=None)
    run = await site.sync()

    assert (run.state, run.counts.files_removed) == (RunState.SUCCEEDED, 0)
    assert site.pages() == ["app", "base", "extra", "lib"]
    assert len(site.filenames("lib")) == 2


@pytest.mark.parametrize(
    "damage", ["DELETE FROM closure", "UPDATE closure SET document = x'00'", "DELETE FROM requirement_lines"]
)
@pytest.mark.parametrize("is_down", [False, True])
async def test_lost_closure_loses_nothing(mirror: Site, pypi: fakepypi.FakePyPI, damage: str, *, is_down: bool) -> None:
    """A stored closure that is lost or damaged is resolved again, and nothing leaves meanwhile."""
    mirror.sql(damage)
    if is_down:
        pypi.faults.everywhere().status(503)
    run = await mirror.sync()

    assert (run.state is RunState.SUCCEEDED) is not is_down
    assert mirror.pages() == ["app", "base", "lib", "other", "shared"]


@pytest.mark.parametrize("is_down", [False, True])
async def test_lost_catalog_loses_nothing(mirror: Site, pypi: fakepypi.FakePyPI, *, is_down: bool) -> None:
    """Without its catalog a mirror keeps all dependencies, and the next sync knows again why they are here."""
    for path in mirror.state.glob("catalog*"):
        path.unlink()
    if is_down:
        pypi.faults.everywhere().status(503)
    run = await mirror.sync()

    assert (run.state is RunState.SUCCEEDED) is not is_down
    assert mirror.pages() == ["app", "base", "lib", "other", "shared"]
