"""A hostile upstream answer costs only its own project, and a bounded time and memory."""

import contextlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import ProjectState, RunState
from mirror_syncer.errors import InvalidPageError, RefusedError, UpstreamError
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream import Client, ClientOptions, Limits, parse_json
from syncer.site import IMPATIENT, Site, memory_below
from syncer.wire import Wire, drip, page, send, wire

MIB = 2**20
# A fifth of a second without a decoded byte, and a second attempt.
HASTY = replace(IMPATIENT, attempts=2, connect_seconds=0.2, silence_seconds=0.2)
JSON_TYPE = b"Content-Type: application/vnd.pypi.simple.v1+json"
JSON = b"HTTP/1.1 200 OK\r\n%b\r\n" % JSON_TYPE
EMPTY = b'{"meta": {"api-version": "1.1"}, "name": "bad", "files": [], "versions": []}'
GZIPPED = zlib.compressobj(wbits=31)
EMPTY_GZIP = GZIPPED.compress(b"") + GZIPPED.flush(zlib.Z_SYNC_FLUSH)
DRIPS = {
    "a head": drip(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"a"),
    "103s": drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a chunk's extension": drip(JSON + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    "empty deflate blocks": drip(
        JSON
        + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(EMPTY_GZIP), EMPTY_GZIP),
        b"5\r\n\0\0\0\xff\xff\r\n",
    ),
    "a body": drip(JSON + b"Content-Length: 1000000\r\n\r\n", b" "),
    "an error's body": drip(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000\r\n\r\n", b" "),
}


@pytest.fixture
async def raw() -> AsyncIterator[Wire]:
    """A raw upstream."""
    async with wire() as upstream:
        yield upstream


@pytest.fixture
def neighbours(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """A project that will be hostile, before one that must not be affected."""
    for name in ("bad", "good"):
        pypi.index.project(name).upload("1.0")
    site.select("bad", "good")
    return pypi


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("dripping", DRIPS)
async def test_dripping_answer_ends_after_its_timeout(
    tmp_path: Path, raw: Wire, monkeypatch: pytest.MonkeyPatch, dripping: str
) -> None:
    """A dripping answer ends at its timeout, and its project fails after its last attempt."""
    monkeypatch.setattr("mirror_syncer.upstream.http.exchange._PATIENCE_SECONDS", 0.5)
    raw.answers["/simple/bad/"] = DRIPS[dripping]
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")
    async with site.running(limits=HASTY) as running:
        run = await running.sync()

    assert (run.state, run.counts.projects_failed) == (RunState.INCOMPLETE, 1)
    assert sum("/simple/bad/" in head for head in raw.heads) == 2
    assert run.finished_at is not None
    assert run.started_at is not None
    assert (run.finished_at - run.started_at).total_seconds() < 10


@pytest.mark.proves("reliability/upstream")
async def test_page_without_end_fails_at_its_time_limit(tmp_path: Path, raw: Wire) -> None:
    """A page that arrives fast enough but never ends fails at its time limit, and is retried later."""
    raw.answers["/simple/bad/"] = drip(JSON + b"\r\n", b" " * 5_000)
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")
    async with site.running(limits=replace(IMPATIENT, max_page_seconds=2)) as running:
        run = await running.sync()

    assert [failure.project for failure in run.failures] == ["bad"]
    assert "; giving up" in run.failures[0].reason
    assert sum("/simple/bad/" in head for head in raw.heads) == 1
    assert site.pages() == ["good"]


@pytest.mark.proves("reliability/upstream")
async def test_list_without_end_fails_the_run_at_its_time_limit(tmp_path: Path, raw: Wire) -> None:
    """A list of projects that arrives fast enough but never ends fails the run at its time limit."""
    raw.answers["/simple/"] = drip(JSON + b"\r\n", b" " * 5_000)
    site = Site(tmp_path, upstream=raw.url)
    site.everything()
    async with site.running(limits=replace(IMPATIENT, max_file_seconds=1)) as running:
        run = await running.sync()

    assert (run.state, len(raw.heads)) == (RunState.FAILED, 1)
    assert "; giving up" in (run.message or "")


@pytest.mark.proves("reliability/upstream")
async def test_slow_large_file_resumes_in_its_next_turn(
    site: Site, neighbours: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file that takes too long for one turn continues in the next ones."""
    monkeypatch.setattr("mirror_syncer.volume.tree.MIN_STAGED_BYTES", 100_000)
    neighbours.index.project("bad").upload("2.0", wheel=False, padding=400_000)
    slow = neighbours.faults.on_file("bad-2.0.tar.gz").drip(size=10_000, every=0.1)
    states, held = [], []
    async with site.running(limits=replace(IMPATIENT, max_file_seconds=1)) as running:
        for _ in range(2):
            run = await running.sync("bad", "good")
            states.append(run.state)
            held += [path.stat().st_size for path in (site.data / "pypi/.staging").iterdir()]
        slow.times(0)
        neighbours.log.forget()
        whole = await running.sync("bad")

    assert states == [RunState.INCOMPLETE, RunState.INCOMPLETE]
    assert "; giving up" in run.failures[0].reason
    assert 0 < held[0] < held[1] < 400_000
    assert [entry.headers.get("range") for entry in neighbours.log if "2.0" in entry.path] == [f"bytes={held[1]}-"]
    assert whole.state is RunState.SUCCEEDED
    site.assert_whole()


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "9" * 400,
        "\N{SUPERSCRIPT TWO}",
        "tomorrow",
    ],
)
async def test_absurd_retry_after_fails_one_project(site: Site, neighbours: fakepypi.FakePyPI, value: str) -> None:
    """A Retry-After that is invalid or unbearably long fails only its own project."""
    neighbours.faults.on_page("bad").status(503, retry_after=value)

    run = await site.sync()

    assert (run.state, [failure.project for failure in run.failures]) == (RunState.INCOMPLETE, ["bad"])
    assert "503" in run.failures[0].reason


async def test_304_without_a_condition_fails_the_project(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A 304 to an unconditional request stands for no known page, so the project fails."""
    neighbours.faults.on_page("bad").status(304)
    async with site.running() as running:
        run = await running.sync()
        row = running.row("bad")

    assert (run.state, row.state) == (RunState.INCOMPLETE, ProjectState.FAILING)
    assert "304" in (row.error or "")
    assert site.pages() == ["good"]


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("line", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize(
    "etag",
    [b'"x"\nX-Evil: yes', b'"\x1b[31m"', b'"\x7f"', b'"\xe9"', b'"%s"' % (b"x" * 60_000)],
    ids=lambda e: repr(e[:9]),
)
async def test_etag_with_line_breaks_adds_no_header(tmp_path: Path, raw: Wire, etag: bytes, line: bytes) -> None:
    """No ETag from upstream adds a header to the syncer's requests or makes them fail."""
    head = line.join((b"HTTP/1.1 200 OK", JSON_TYPE, b"Content-Length: %d" % len(EMPTY), b"ETag: " + etag, b"", b""))
    raw.answers["/simple/bad/"] = send(head + EMPTY)
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")
    async with site.running() as running:
        runs = [await running.sync() for _ in range(2)]

    assert [run.state for run in runs] == [RunState.SUCCEEDED] * 2
    asked = [head for head in raw.heads if "/simple/bad/" in head]
    assert len(asked) == 2
    assert all("evil" not in head.lower() and len(head) < 1_000 and head.isascii() for head in asked)


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("location", [b"/\xff/", b"http://\xff/", b"/a b", b"http://[::1", b"//user:p%40@/"])
async def test_absurd_redirect_fails_one_project(tmp_path: Path, raw: Wire, location: bytes) -> None:
    """A redirect to an invalid URL, or to bytes that are no text, fails only its own project, by name."""
    raw.answers["/simple/bad/"] = send(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location)
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")
    async with site.running() as running:
        run = await running.sync()
        row = running.row("bad")

    assert (run.state, row.state) == (RunState.INCOMPLETE, ProjectState.FAILING)


async def test_host_with_a_similar_name_gets_its_own_request() -> None:
    """A URL without a path goes to its own host, even if that looks like a host requested before."""
    hosts = frozenset({"127.0.0.1:80"})
    options = ClientOptions(user_agent="test", hosts=hosts, connections=2, limits=Limits(attempts=1))
    async with Client(options) as client:
        with contextlib.suppress(UpstreamError):
            await client.get("http://127.0.0.1/", endpoint="page", headers={}, priority=Priority.NAMED)
        for url in ("http://127.0.0.12", "http://127.0.0.12?/", "http://127.0.0.1:8", "http://127.0.0.1@[::1]"):
            with pytest.raises(RefusedError, match="contains a user" if "@" in url else "is not allowed"):
                await client.get(url, endpoint="page", headers={}, priority=Priority.NAMED)


async def test_file_url_of_five_megabytes_is_refused(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """The syncer refuses a file URL of five megabytes, and neither run nor catalog repeats it."""
    neighbours.faults.on_page("bad").file_url(f"{neighbours.url}/{'a' * 5_000_000}")
    async with site.running() as running:
        run = await running.sync()
        row = running.row("bad")

    assert "characters, more than" in run.failures[0].reason
    assert len(run.model_dump_json()) < 5_000
    assert len(row.error or "") < 1_000


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("size", [4_200_000, 1_100])
def test_page_of_junk_entries_is_refused(size: int) -> None:
    """The syncer refuses a page of eight megabytes of zeros before it builds anything from it."""
    body = b'{"meta":{},"name":"bad","files":[' + b"0," * size + b"0]}"

    with memory_below(MIB), pytest.raises(InvalidPageError, match="more than"):
        parse_json(body, name=NormalizedName("bad"), url="http://127.0.0.1/")


@pytest.mark.proves("security/upstream")
def test_page_of_junk_versions_is_refused() -> None:
    """A page with more versions than any project has files is refused before any version is parsed."""
    body = b'{"meta":{},"name":"bad","files":[],"versions":[' + b'"1",' * 200_000 + b'"1"]}'

    with pytest.raises(InvalidPageError, match="200,001 versions"):
        parse_json(body, name=NormalizedName("bad"), url="http://127.0.0.1/")


@pytest.mark.proves("reliability/upstream")
async def test_oversize_body_is_not_kept_for_a_resume(
    site: Site, neighbours: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body larger than its page declares is not kept for a resume, unlike other large files."""
    monkeypatch.setattr("mirror_syncer.volume.tree.MIN_STAGED_BYTES", 0)
    neighbours.faults.on_file(project="bad").endless()

    run = await site.sync()

    assert run.counts.files_failed == 2
    assert list((site.data / "pypi" / ".staging").iterdir()) == []
    site.assert_whole()
