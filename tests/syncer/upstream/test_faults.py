"""Faults of upstream: a bad file fails only itself, a bad project only itself."""

import asyncio
import hashlib
import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState, parse_project_name
from syncer.site import IMPATIENT, Site

WHEEL = "bad-1.0-py3-none-any.whl"
SDIST = "bad-1.0.tar.gz"


@pytest.fixture
def neighbours(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """A project that will go wrong, between two that must not care."""
    for name in ("alpha", "bad", "omega"):
        pypi.index.project(name).upload("1.0")
    site.select("alpha", "bad", "omega")
    return pypi


@pytest.mark.proves("reliability/upstream", "security/upstream")
async def test_file_with_wrong_hash_is_left_out(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A file whose content does not match its page is not published; its project is partial, not failing."""
    neighbours.faults.on_file(SDIST).corrupt()

    run = await site.sync()

    assert (run.state, run.counts.projects_partial) == (RunState.INCOMPLETE, 1)
    assert [(f.project, f.file) for f in run.failures] == [("bad", SDIST)]
    assert "sha256" in run.failures[0].reason
    assert site.filenames("bad") == {WHEEL}
    assert site.pages() == ["alpha", "bad", "omega"]
    site.assert_whole()


async def test_partial_project_is_completed_by_a_later_sync(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A failed file is downloaded once it is correct, even if its page did not change."""
    neighbours.faults.on_file(SDIST).corrupt().times(2)
    await site.sync()
    neighbours.log.forget()

    run = await site.sync("bad")

    assert run.state is RunState.SUCCEEDED
    assert [e.status for e in neighbours.log.to("/simple/bad/")] == [304]
    assert site.filenames("bad") == {WHEEL, SDIST}
    site.assert_whole()


async def test_partial_project_waits_for_its_backoff(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A full sync does not request a failed file before its backoff is over, and still reports it as missing."""
    neighbours.faults.on_file(SDIST).status(404)
    await site.sync()
    neighbours.log.forget()

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert run.failures[0].project == "bad"
    assert not [path for path in neighbours.log.paths() if path.endswith(SDIST)]


@pytest.mark.proves("reliability/upstream")
async def test_truncated_body_is_resumed(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """If a connection breaks in the middle of a file, only the rest is requested again."""
    neighbours.index.project("bad").upload("2.0", wheel=False, padding=8_000_000)
    neighbours.faults.on_file("bad-2.0.tar.gz").cut(0.5).times(1)

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    ranges = [e.headers.get("range") for e in neighbours.log if e.path.endswith("bad-2.0.tar.gz")]
    assert ranges[0] is None
    assert ranges[1] is not None
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_short_body_is_refused(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A body that is shorter than the declared size is refused, even with a consistent Content-Length."""
    neighbours.faults.on_file(SDIST).shortened(0.5)

    run = await site.sync()

    assert run.failures[0].file == SDIST
    assert "bytes" in run.failures[0].reason
    site.assert_whole()


@pytest.mark.proves("reliability/upstream", "security/upstream")
async def test_endless_body_is_cut_at_its_declared_size(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """An endless body is cut at the size that its page declares."""
    neighbours.faults.on_file(SDIST).endless()

    run = await site.sync()

    assert "more than" in run.failures[0].reason
    site.assert_whole()


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://files.example.org/packages/../../etc/passwd", "climbs"),
        ("/packages/%2e%2e/%2e%2e/etc/passwd", "climbs"),
        ("file:///etc/passwd", "http"),
        ("http://files.example.org/packages/bad-1.0.tar.gz", "is not allowed"),
    ],
)
async def test_hostile_file_url_is_refused(site: Site, neighbours: fakepypi.FakePyPI, url: str, words: str) -> None:
    """A file URL with dot segments or another host fails only its project's files, and the reason is reported."""
    neighbours.faults.on_page("bad").file_url(url)

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert {f.project for f in run.failures} == {"bad"}
    assert words in run.failures[0].reason
    assert site.pages() == ["alpha", "omega"]
    site.assert_whole()


@pytest.mark.proves("reliability/upstream", "security/upstream")
async def test_redirect_to_a_forbidden_host_is_not_followed(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A redirect to a host that is not allowed is refused, and that host receives no request."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.close()

    forbidden = await asyncio.start_server(listen, "127.0.0.3", 0)
    port = forbidden.sockets[0].getsockname()[1]
    neighbours.faults.on_file(SDIST).redirect(f"http://127.0.0.3:{port}/secret")

    run = await site.sync()

    forbidden.close()
    assert "127.0.0.3" in run.failures[0].reason
    assert heard == []


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("how", ["redirect", "file_url"])
async def test_url_with_a_login_is_refused(site: Site, neighbours: fakepypi.FakePyPI, how: str) -> None:
    """A URL with a user is refused, even on an allowed host; the reason does not contain the password."""
    url = neighbours.url.replace("://", "://me:secret@") + "/packages/bad-1.0.tar.gz"
    rule = neighbours.faults.on_page("bad")
    if how == "redirect":
        rule.redirect(url)
    else:
        rule.file_url(url)
    run = await site.sync()

    assert {failure.project for failure in run.failures} == {"bad"}
    assert all("MIRROR_UPSTREAM_NETRC" in failure.reason for failure in run.failures)
    assert "secret" not in run.model_dump_json()


@pytest.mark.proves("security/project-owners")
async def test_page_of_another_project_is_refused(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A page that names `/etc/x` as its project is refused with both names, and nothing is written for it."""
    neighbours.faults.on_page("bad").named("/etc/x")

    run = await site.sync()

    assert [(f.project, "/etc/x" in f.reason) for f in run.failures] == [("bad", True)]
    assert site.pages() == ["alpha", "omega"]


@pytest.mark.proves("reliability/upstream")
async def test_login_page_keeps_the_published_page(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A proxy's login form with status 200 fails the project; the published page stays."""
    await site.sync()
    before = (site.web / "simple" / "bad" / "index.v1_json").read_bytes()
    neighbours.index.project("bad").upload("1.1")
    neighbours.faults.on_page("bad").login_page()

    async with site.running() as running:
        run = await running.sync()
        row = running.mirror.catalog.projects.get(parse_project_name("bad"))

    assert run.state is RunState.INCOMPLETE
    assert row is not None
    assert row.state is ProjectState.FAILING
    assert (site.web / "simple" / "bad" / "index.v1_json").read_bytes() == before


@pytest.mark.proves("reliability/upstream")
async def test_older_page_is_requested_again(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """If a cache serves a page older than the published one, it is requested again and never published."""
    await site.sync()
    neighbours.index.project("bad").upload("1.1")
    await site.sync()
    neighbours.index.project("bad").upload("1.2")
    neighbours.faults.on_page("bad").stale().times(1)
    neighbours.faults.on_page("bad").without("ETag")

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert {"bad-1.1.tar.gz"} <= site.filenames("bad")


@pytest.mark.proves("reliability/upstream")
async def test_server_errors_are_retried(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A 503 with Retry-After and a 500 are retried and cause no failure."""
    neighbours.faults.on_page("bad").status(503, retry_after=0).times(1)
    neighbours.faults.on_file(SDIST).status(500).times(1)

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert len(neighbours.log.to("/simple/bad/")) == 2


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_obeyed(site: Site, neighbours: fakepypi.FakePyPI, status: int, form: str) -> None:
    """Retry-After is obeyed as seconds and as a date, for pages and files, and nothing fails."""
    # A date has whole seconds: between four and five from now, of which a busy machine takes some to begin.
    later = datetime.now(UTC) + timedelta(seconds=5)
    wanted, least = (1, 1.0) if form == "seconds" else (format_datetime(later, usegmt=True), 1.5)
    neighbours.faults.on_page("bad").status(status, retry_after=wanted).times(1)
    neighbours.faults.on_file(project="omega").status(status, retry_after=wanted).times(1)
    asked: list[float] = []
    neighbours.faults.on_page("bad").change(lambda _request, _answer: asked.append(time.monotonic()))
    limits = replace(IMPATIENT, max_retry_after_seconds=10)
    async with site.running(limits=limits) as running:
        run = await running.sync()
        metrics = running.mirror.metrics.exposition().decode()

    assert run.state is RunState.SUCCEEDED
    assert asked[1] - asked[0] >= least
    assert f'pypi_mirror_retries_total{{reason="{"429" if status == 429 else "5xx"}"}} 2.0' in metrics
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_long_retry_after_ends_the_attempts(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A Retry-After over the limit ends the attempts: one request per run, and no retry is counted."""
    neighbours.faults.on_page("bad").status(503, retry_after=3600)
    async with site.running() as running:
        run = await running.sync()
        metrics = running.mirror.metrics.exposition().decode()

    assert (run.state, [failure.project for failure in run.failures]) == (RunState.INCOMPLETE, ["bad"])
    assert len(neighbours.log.to("/simple/bad/")) == 1
    assert 'pypi_mirror_retries_total{reason="5xx"} 0.0' in metrics
    assert "asks to wait 3,600 s" in run.failures[0].reason


@pytest.mark.proves("reliability/upstream")
async def test_burst_of_errors_causes_no_failure(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A burst of two dozen errors over all endpoints causes as many retries and no failure."""
    for name in (f"project-{number}" for number in range(12)):
        neighbours.index.project(name).upload("1.0")
    site.select("alpha", *(f"project-{number}" for number in range(12)))
    neighbours.faults.everywhere().status(500).times(8)
    neighbours.faults.everywhere().status(502).times(8)
    neighbours.faults.on_file().reset().times(8)
    async with site.running(limits=replace(IMPATIENT, attempts=8)) as running:
        run = await running.sync()

    assert (run.state, run.failures) == (RunState.SUCCEEDED, [])
    assert len(site.pages()) == 13
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_missing_file_is_retried_ever_more_rarely(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A file that always answers 404 is requested ever more rarely and always reported; nothing else suffers."""
    neighbours.faults.on_file(SDIST).status(404)
    async with site.running() as running:
        waits = []
        for _ in range(4):
            run = await running.sync("bad")
            row = running.row("bad")
            assert row.due_at is not None
            waits.append(row.due_at - (row.checked_at or 0))
            assert [(failure.project, failure.file) for failure in run.failures] == [("bad", SDIST)]
        neighbours.index.project("bad").upload("2.0")
        await running.sync("bad")

    assert all(later >= 1.5 * sooner for sooner, later in itertools.pairwise(waits))
    assert site.filenames("bad") == {WHEEL, "bad-2.0-py3-none-any.whl", "bad-2.0.tar.gz"}
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("said", [-20, 1])
@pytest.mark.parametrize("endpoint", ["page", "file"])
async def test_wrong_content_length_fails_only_its_response(
    site: Site, neighbours: fakepypi.FakePyPI, endpoint: str, said: int
) -> None:
    """A Content-Length that is too short or too long fails only its own response, not the following ones."""
    faults = neighbours.faults
    rule = faults.on_page("bad") if endpoint == "page" else faults.on_file(SDIST)
    rule.wrong_length(said)

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert {failure.project for failure in run.failures} == {"bad"}
    assert site.pages() == (["alpha", "omega"] if endpoint == "page" else ["alpha", "bad", "omega"])
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
async def test_page_that_stays_older_leaves_its_project_behind(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """If only older pages are served, the project is behind and the published page stays."""
    await site.sync()
    neighbours.index.project("bad").upload("1.1")
    await site.sync()
    before = site.published("bad")
    neighbours.faults.on_page("bad").stale().without("ETag")
    async with site.running() as running:
        run = await running.sync()
        row = running.row("bad")
        neighbours.faults.clear()
        healed = await running.sync()

    assert (run.state, row.state) == (RunState.INCOMPLETE, ProjectState.BEHIND)
    assert [failure.project for failure in run.failures] == ["bad"]
    assert "older page" in run.failures[0].reason
    assert site.published("bad") == before
    assert healed.state is RunState.SUCCEEDED


async def test_upstream_down_fails_the_run(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """If upstream does not answer at all, the run fails with the reason, and published files stay."""
    await site.sync()
    neighbours.faults.everywhere().status(503)

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert "does not answer" in (run.message or "")
    assert site.pages() == ["alpha", "bad", "omega"]


async def test_html_upstream_is_mirrored(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """An upstream without JSON is mirrored, too: sizes are measured, hashes are checked."""
    neighbours.faults.everywhere().html_only()

    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.filenames("bad") == {WHEEL, SDIST}
    site.assert_whole()


async def test_upstream_without_validators_is_compared_by_content(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """Without serials and ETags each sync asks for each page; nothing unchanged is written or fetched."""
    neighbours.faults.on_page().without_serials()
    neighbours.faults.everywhere().without("ETag", "Last-Modified")
    await site.sync()
    neighbours.log.forget()

    run = await site.sync()

    assert (run.state, run.counts.projects_changed, run.counts.files_fetched) == (RunState.SUCCEEDED, 0, 0)


async def test_wrong_metadata_is_not_advertised(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """If no server has the promised metadata, the wheel's own is published, the sdist gets none; both are reported."""
    neighbours.faults.on_page("bad").edit_files(
        **{"core-metadata": {"sha256": "0" * 64}, "data-dist-info-metadata": {"sha256": "0" * 64}}
    )

    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    assert [failure.file for failure in run.failures] == [WHEEL]
    assert site.published("bad").files[WHEEL].core_metadata not in (False, "0" * 64)
    assert site.published("bad").files[SDIST].core_metadata is False
    site.assert_whole()


@pytest.mark.proves("security/project-owners")
async def test_file_never_changes_under_its_url(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A file name with new content gets another URL; the old URL keeps its content."""
    await site.sync()
    old = site.published("bad").places[WHEEL]
    content = site.content("bad", WHEEL)
    candidates = (f"other content {number}".encode() for number in itertools.count())
    other = next(c for c in candidates if hashlib.blake2b(c, digest_size=32).hexdigest()[:2] == old.split("/")[1])
    replaced = neighbours.index.project("bad").upload_file(WHEEL, other, version="1.0", replace=True)

    await site.sync()

    new = site.published("bad").places[WHEEL]
    assert new == replaced.path
    assert (site.web / old).read_bytes() == content
    site.assert_whole()


async def test_cancelled_run_ends_after_its_current_projects(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A cancelled run ends after its current projects and starts no others."""
    gate = neighbours.faults.on_page("alpha").gate()
    async with site.running(connections=1) as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        active = running.mirror.runs.active(run.id)
        assert active is not None
        await running.mirror.engine.cancel(active)
        gate.open()
        ended = await running.ended(run)

    assert ended.state is RunState.CANCELLED
    assert "alpha" in site.pages()
    assert len(site.pages()) < 3
