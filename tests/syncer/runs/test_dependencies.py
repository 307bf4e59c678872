"""What the selected projects need comes with them, before them, and leaves with them."""

import pytest

import fakepypi
from mirror_contract import RunState
from syncer.indexes import upload
from syncer.site import Site


@pytest.fixture
def app(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """Return a mirror that selects one project, which needs two others."""
    upload(pypi, "app 1.0: lib>=2", "lib 1.0", "lib 2.0: base", "lib 3.0: base", "base 1.0", "other 1.0")
    site.select("app", guard="100%", follow=True)
    return site


async def test_dependencies_are_mirrored(app: Site) -> None:
    """A project that a selected one needs is mirrored, and what that needs, in the newest release that fits."""
    run = await app.sync()

    assert (run.state, run.message) == (RunState.SUCCEEDED, None)
    assert app.pages() == ["app", "base", "lib"]
    assert app.filenames("lib") == {"lib-3.0-py3-none-any.whl"}
    app.assert_whole()


async def test_second_sync_asks_for_nothing_but_pages(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync without news asks for each page once, conditionally, and changes nothing."""
    await app.sync()
    pypi.log.forget()
    run = await app.sync()

    assert (run.state, run.counts.projects_changed) == (RunState.SUCCEEDED, 0)
    assert sorted(exchange.path for exchange in pypi.log.exchanges) == ["/simple/app/", "/simple/base/", "/simple/lib/"]


async def test_line_that_goes_takes_its_dependencies_along(app: Site) -> None:
    """A line that is removed leaves with what only it needed."""
    await app.sync()
    app.select("lib", guard="100%", follow=True)
    run = await app.sync()

    assert run.state is RunState.SUCCEEDED
    assert app.pages() == ["base", "lib"]
    assert app.filenames("lib") == {f"lib-{version}-py3-none-any.whl" for version in ("1.0", "2.0", "3.0")}


async def test_new_release_waits_for_what_it_needs(app: Site, pypi: fakepypi.FakePyPI) -> None:
    """A new release that needs a new project is published in the same run, after it."""
    await app.sync()
    upload(pypi, "app 2.0: lib, news", "news 1.0")
    run = await app.sync()

    assert run.state is RunState.SUCCEEDED
    assert app.pages() == ["app", "base", "lib", "news"]
    assert "app-2.0-py3-none-any.whl" in app.filenames("app")


async def test_sync_of_one_line_asks_for_no_other(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that names a project brings what that needs, and leaves the other lines to the next whole sync."""
    upload(pypi, "app 1.0: lib", "lib 1.0", "other 1.0: base", "base 1.0")
    site.select("app", "other", follow=True)
    named = await site.sync("app")
    asked = {exchange.path for exchange in pypi.log.exchanges}
    before = site.pages()
    await site.sync()

    assert named.state is RunState.SUCCEEDED
    assert before == ["app", "lib"]
    assert not any("other" in path or "base" in path for path in asked)
    assert site.pages() == ["app", "base", "lib", "other"]
