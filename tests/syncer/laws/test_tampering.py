"""Pages and files that somebody changed together on disk, so that they match."""

import hashlib
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunState
from mirror_syncer.publish import render_html
from syncer.site import Running, Site

WHEEL = "six-1.0-py3-none-any.whl"
EVIL = b"not what upstream has"


@pytest.fixture
async def six(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirrored project."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    await site.sync()
    return site


def tamper(site: Site, *, content: bytes = EVIL) -> Path:
    """Change a file and all forms of its page, as somebody with write access would; return the file's path."""
    before = site.published("six")
    file = before.files[WHEEL]
    path = site.web / before.places[WHEEL]
    content = content.ljust(file.size or 0)
    path.write_bytes(content)
    page = site.web / "simple" / "six"
    for form in ("index.v1_json", "index.html"):
        body = (page / form).read_bytes().replace(file.sha256.encode(), hashlib.sha256(content).hexdigest().encode())
        (page / form).write_bytes(body)
        (page / f"{form}.gz").unlink(missing_ok=True)
    site.assert_right()
    return path


def damages(running: Running) -> float | None:
    """Return how often the metric counted an altered page."""
    labels = {"reason": "altered"}
    return running.mirror.metrics.registry.get_sample_value("pypi_mirror_verification_failures_total", labels)


@pytest.mark.proves("security/neighbours")
async def test_verify_of_page_and_file_altered_together_alarms_and_repairs(six: Site) -> None:
    """Verify finds a page altered together with its file and counts it in a metric; repair restores both."""
    before = six.content("six", WHEEL)
    path = tamper(six)
    async with six.running() as running:
        found = await running.verify()
        counted = damages(running)
        mended = await running.verify(repair=True)
        again = await running.verify()

    assert found.state is RunState.INCOMPLETE
    assert [failure.file for failure in found.failures] == ["index.v1_json"]
    assert "altered on disk" in found.failures[0].reason
    assert counted == 1
    assert [mended.state, again.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert path.read_bytes() == before
    six.assert_whole()


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize("force", [False, True])
async def test_sync_of_page_and_file_altered_together_alarms_and_repairs(six: Site, *, force: bool) -> None:
    """A sync does not trust a 304 for an altered page: it restores page and file, and ends incomplete."""
    before = six.content("six", WHEEL)
    path = tamper(six)
    async with six.running() as running:
        run = await running.sync(force=force)
        counted = damages(running)
        again = await running.sync()

    assert run.state is RunState.INCOMPLETE
    assert "another program changed its page" in run.failures[0].reason
    assert counted == 1
    assert again.state is RunState.SUCCEEDED
    assert path.read_bytes() == before
    six.assert_whole()


@pytest.mark.proves("security/neighbours")
async def test_sync_of_altered_page_removes_files_that_upstream_lacks(six: Site) -> None:
    """A file that only an altered page names leaves the document root in the same run, without a grace period."""
    stray = six.web / "packages" / "ab" / "six-9.0.tar.gz"
    stray.write_bytes(EVIL)
    page = six.web / "simple" / "six"
    entry = (
        b'{"core-metadata":false,"filename":"six-9.0.tar.gz","hashes":{"sha256":"%s"},"requires-python":null,"size":%d,'
        b'"url":"../../packages/ab/six-9.0.tar.gz","yanked":false},'
    ) % (hashlib.sha256(EVIL).hexdigest().encode(), len(EVIL))
    body = (page / "index.v1_json").read_bytes().replace(b'"files":[', b'"files":[' + entry)
    (page / "index.v1_json").write_bytes(body)
    (page / "index.html").write_bytes(render_html(six.published("six")))
    for twin in page.glob("*.gz"):
        twin.unlink()

    run = await six.sync()

    assert run.state is RunState.INCOMPLETE
    assert "six-9.0.tar.gz" not in six.filenames("six")
    assert not stray.exists()
    assert (six.data / "pypi" / ".withdrawn" / "packages" / "ab" / "six-9.0.tar.gz").read_bytes() == EVIL


@pytest.mark.proves("security/neighbours")
async def test_script_added_to_html_is_an_alarm(six: Site) -> None:
    """Verify also finds HTML that names the same files but contains more than we wrote."""
    page = six.web / "simple" / "six" / "index.html"
    page.write_text(page.read_text().replace("</body>", "<script>1</script></body>"))
    async with six.running() as running:
        found = await running.verify()
        mended = await running.verify(repair=True)

    assert "altered on disk" in found.failures[0].reason
    assert mended.state is RunState.SUCCEEDED
    assert "<script>" not in page.read_text()


async def test_catalog_without_digests_gets_them_in_the_next_sync(six: Site, pypi: fakepypi.FakePyPI) -> None:
    """If the catalog has no digest of a page, the next sync requests the page without validators and stores one."""
    six.sql("UPDATE project SET page_sha256 = NULL, due_at = NULL")
    pypi.log.forget()
    first = await six.sync()
    statuses = [exchange.status for exchange in pypi.log.to("/simple/six/")]
    pypi.log.forget()
    await six.sync()

    assert first.state is RunState.SUCCEEDED
    assert statuses == [200]
    assert [exchange.status for exchange in pypi.log.to("/simple/six/")] == [304]
