"""Scope everything: upstream's list says what there is, what changed and what is gone."""

import fakepypi
from mirror_contract import ProjectState, RunState
from syncer.site import Site


async def test_first_sync_brings_all_that_is_listed(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Every project of the list is mirrored under its normalized name, and the next sync asks for the list alone."""
    for name in ("Foo.Bar", "six", "zope_interface"):
        pypi.index.project(name).upload("1.0")
    site.everything()
    async with site.running() as running:
        first = await running.sync()
        pypi.log.forget()
        second = await running.sync()

    assert (first.state, first.counts.projects_done, first.counts.projects_planned) == (RunState.SUCCEEDED, 3, 3)
    assert site.pages() == ["foo-bar", "six", "zope-interface"]
    assert second.state is RunState.SUCCEEDED
    assert [(one.path, one.status) for one in pypi.log] == [("/simple/", 304)]
    site.assert_whole()


async def test_changes_alone_are_asked_for(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """After a release, a new project and nothing else, two pages are asked for."""
    for name in ("alpha", "beta", "gamma"):
        pypi.index.project(name).upload("1.0")
    site.everything()
    async with site.running() as running:
        await running.sync()
        pypi.index.project("beta").upload("2.0")
        pypi.index.project("delta").upload("1.0")
        pypi.log.forget()
        run = await running.sync()
        row = running.row("beta")

    asked = sorted(path for path in pypi.log.paths() if path.startswith("/simple/"))
    assert asked == ["/simple/", "/simple/beta/", "/simple/delta/"]
    assert (run.state, run.counts.projects_done) == (RunState.SUCCEEDED, 2)
    assert row.state is ProjectState.CURRENT
    assert "beta-2.0.tar.gz" in site.filenames("beta")
