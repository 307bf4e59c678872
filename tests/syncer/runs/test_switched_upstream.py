"""MIRROR_UPSTREAM names another index: no state of the old index remains, and no file is downloaded again."""

from collections.abc import AsyncIterator

import pytest

import fakepypi
from mirror_contract import ProjectState, RunState
from mirror_syncer.runs.upstream_change import identity, same_upstream
from syncer.runs.test_whole_index import publish
from syncer.site import Site


@pytest.fixture
async def other() -> AsyncIterator[fakepypi.FakePyPI]:
    """Serve a second index; its serials are far below the first one's."""
    async with fakepypi.serve() as pypi:
        yield pypi


def publish_in_both(*upstreams: fakepypi.FakePyPI) -> None:
    """Publish the same projects in both indexes, and more in the first, so that its serials are higher."""
    for pypi in upstreams:
        publish(pypi, "alpha", "beta")
    for number in range(20):
        upstreams[0].index.project("only-first").upload(f"1.{number}", sdist=False)


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("everything", [True, False])
async def test_switched_upstream_is_read_without_old_state(
    site: Site, pypi: fakepypi.FakePyPI, other: fakepypi.FakePyPI, *, everything: bool
) -> None:
    """After a switch, a sync sends no old validators, accepts lower serials, and downloads no file again."""
    publish_in_both(pypi, other)
    if everything:
        site.everything()
    else:
        site.select("alpha", "beta")
    await site.sync()
    other.index.project("beta").upload("2.0", wheel=False)
    site.upstream = other.url
    async with site.running() as running:
        before = running.mirror.catalog.projects.totals()
        run = await running.sync()
        row = running.row("beta")
        again = await running.sync()

    requests = [(one.path, one.headers.get("if-none-match")) for one in other.log.exchanges if "/simple/" in one.path]
    assert ("/simple/alpha/", None) in requests
    assert [path.rpartition("/")[2] for path in other.log.paths() if "/packages/" in path] == ["beta-2.0.tar.gz"]
    assert before.files > 0
    assert run.state is RunState.SUCCEEDED
    assert f"upstream has changed from {pypi.url} to {other.url}" in (run.message or "")
    assert (row.state, row.serial) == (ProjectState.CURRENT, other.index.project("beta").serial)
    assert "changed" not in (again.message or "")


@pytest.mark.proves("reliability/upstream")
async def test_switched_upstream_discards_retry_times_and_kept_pages(
    site: Site, pypi: fakepypi.FakePyPI, other: fakepypi.FakePyPI
) -> None:
    """After a switch, the catalog keeps neither retry times nor pages of the old index."""
    for index in (pypi, other):
        publish(index, "alpha", "beta")
    pypi.faults.on_page("alpha").status(403)
    pypi.index.project("beta").upload("2.0")
    site.everything("beta<2")
    await site.sync()
    site.upstream = other.url
    async with site.running() as running:
        kept = running.mirror.catalog.kept_pages.get(running.row("beta").name)
        due = running.row("alpha").due_at
        run = await running.sync()

    assert (kept, due) == (None, None)
    assert run.state is RunState.SUCCEEDED
    assert site.pages() == ["alpha", "beta"]


@pytest.mark.proves("reliability/upstream")
async def test_switched_upstream_without_the_projects_removes_nothing(
    site: Site, pypi: fakepypi.FakePyPI, other: fakepypi.FakePyPI
) -> None:
    """After a switch, the guard keeps projects that the new index lacks, until an operator confirms their removal."""
    names = [f"stub-{number:03}" for number in range(120)]
    for name in names:
        pypi.index.project(name).create()
    publish(other, "only-here")
    site.everything()
    await site.sync()
    site.upstream = other.url
    async with site.running() as running:
        await running.sync()
        other.index.project("only-here").upload("2.0")
        run = await running.sync()
        kept = len(site.pages())
        await running.sync(allow_removals=120)

    assert (run.state, run.counts.projects_withheld, kept) == (RunState.INCOMPLETE, 120, 121)
    assert site.pages() == ["only-here"]


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("https://pypi.org", "http://pypi.org/", True),
        ("https://pypi.org", "https://PyPI.org:443/simple/", True),
        ("https://user@pypi.org", "https://pypi.org", True),
        ("https://pypi.org", "https://test.pypi.org", False),
        ("https://host/one", "https://host/other", False),
        ("https://host:8081", "https://host:8082", False),
    ],
)
def test_upstreams_differ_by_host_port_and_path(one: str, another: str, *, same: bool) -> None:
    """Another host, port or path is another upstream; another scheme, user or final slash is not."""
    assert same_upstream(one, another) is same
    assert "user" not in identity(one)


async def test_upstream_with_a_final_slash_is_no_switch(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A final slash in MIRROR_UPSTREAM is no switch, so requests keep their validators."""
    publish(pypi, "alpha", "beta")
    site.everything()
    await site.sync()
    site.upstream = f"{pypi.url}/"
    pypi.log.forget()
    run = await site.sync()

    assert run.message is None
    assert {one.status for one in pypi.log} == {304}
