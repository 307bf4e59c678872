"""`verify --upstream` compares the published pages with upstream's, whatever the tree and the catalog say."""

from collections.abc import Callable

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.publish import render_html
from syncer.laws.test_tampering import tamper
from syncer.site import Site, same_directory

WHEEL = "six-1.0-py3-none-any.whl"


@pytest.fixture
async def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror of one project with a yanked release."""
    pypi.index.project("six").upload("1.0")
    pypi.index.project("six").upload("1.1")
    pypi.index.project("six").yank("1.1", reason="broken")
    site.select("six")
    await site.sync()
    return site


def delete_digest(site: Site) -> None:
    """Delete the page's digest from the catalog, as if an attacker had altered both."""
    site.sql("UPDATE project SET page_sha256 = NULL")


def alter_file(site: Site) -> None:
    """Alter a file together with its page."""
    tamper(site)
    delete_digest(site)


def alter_page(old: str, new: str) -> Callable[[Site], None]:
    """Return a function that alters the page in both formats."""

    def change(site: Site) -> None:
        page = site.web / "simple" / "six"
        body = (page / "index.v1_json").read_text()
        assert old in body
        (page / "index.v1_json").write_text(body.replace(old, new))
        (page / "index.html").write_bytes(render_html(site.published("six")))
        for twin in page.glob("*.gz"):
            twin.unlink()
        delete_digest(site)

    return change


def drop_file(site: Site) -> None:
    """Remove a file from the page."""
    page = site.web / "simple" / "six" / "index.v1_json"
    body = page.read_text()
    entry = body[body.index('{"core-metadata"') : body.index('{"core-metadata"', body.index('{"core-metadata"') + 1)]
    alter_page(entry, "")(site)


ALTERATIONS = {
    "a file": alter_file,
    "a yank": alter_page('"yanked":"broken"', '"yanked":false'),
    "a file that is left out": drop_file,
    "the status": alter_page('"status":"active"', '"status":"archived"'),
}


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS)
async def test_altered_page_is_reported_and_repaired(six: Site, alter: Callable[[Site], None]) -> None:
    """`verify --upstream` reports alterations that a plain verify misses, and `--repair` restores the page."""
    before = six.published("six")
    alter(six)
    async with six.running() as running:
        silent = await running.verify()
        found = await running.verify(upstream=True)
        labels = {"reason": "differs"}
        counted = running.mirror.metrics.registry.get_sample_value("pypi_mirror_verification_failures_total", labels)
        repaired = await running.verify(upstream=True, repair=True)
        again = await running.verify(upstream=True)

    assert silent.state is RunState.SUCCEEDED
    assert found.state is RunState.INCOMPLETE
    assert {failure.reason.partition(",")[0] for failure in found.failures} == {"not what upstream promises"}
    assert counted == found.counts.files_damaged > 0
    assert [repaired.state, again.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert six.published("six") == before
    six.assert_whole()


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize("kind", ["as PyPI", "HTML alone", "no validators"])
async def test_unaltered_mirror_passes_the_comparison(site: Site, pypi: fakepypi.FakePyPI, kind: str) -> None:
    """An unaltered mirror passes `verify --upstream`, with `latest` and with every kind of upstream."""
    if kind == "HTML alone":
        pypi.faults.everywhere().html_only()
    elif kind == "no validators":
        pypi.faults.on_page().without_serials()
        pypi.faults.everywhere().without("ETag", "Last-Modified")
    for number in range(3):
        pypi.index.project("six").upload(f"1.{number}")
    pypi.index.project("idna").upload("1.0")
    pypi.index.project("idna").quarantine()
    site.select("six", "idna", latest=1)
    await site.sync()

    async with site.running() as running:
        run = await running.verify(upstream=True)

    assert (run.state, run.message, run.counts.files_damaged) == (RunState.SUCCEEDED, None, 0)
    site.assert_whole()


async def test_project_changed_upstream_is_not_damaged(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that changed upstream since its last sync is not damaged; the run reports the change."""
    pypi.index.project("six").unyank("1.1")
    async with six.running() as running:
        run = await running.verify(upstream=True)

    assert (run.state, run.counts.files_damaged) == (RunState.SUCCEEDED, 0)
    assert "1 project(s) changed upstream" in (run.message or "")


async def test_comparison_without_an_answer_is_incomplete(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """If upstream's page fails, `verify --upstream` reports the project as not compared, and ends incomplete."""
    pypi.faults.on_page("six").status(503)
    async with six.running() as running:
        run = await running.verify(upstream=True)

    assert run.state is RunState.INCOMPLETE
    assert "not compared with upstream" in run.failures[0].reason


async def test_repair_never_changes_the_content_of_a_url(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A repair never writes upstream's new content to the URL of a corrupt file."""
    old = b"as it was"
    pypi.index.project("six").upload_file("six-1.0.tar.gz", old, version="1.0")
    site.select("six")
    async with site.running() as running:
        await running.sync()
        short = site.published("six").places["six-1.0.tar.gz"]
        (site.web / short).write_bytes(b"rotten")
        new = same_directory(old)
        pypi.index.project("six").upload_file("six-1.0.tar.gz", new, version="1.0", replace=True)
        await running.verify(upstream=True, repair=True)

    assert site.published("six").places["six-1.0.tar.gz"] != short or site.content("six", "six-1.0.tar.gz") != new
    assert (site.web / short).read_bytes() != new
