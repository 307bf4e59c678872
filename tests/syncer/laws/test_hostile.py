"""What an upstream may send to hurt: it costs its own project, a bounded time and a bounded memory."""

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
    """An upstream by the byte."""
    async with wire() as upstream:
        yield upstream


@pytest.fixture
def neighbours(site: Site, pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """A project that will be hostile, before one that must not care."""
    for name in ("bad", "good"):
        pypi.index.project(name).upload("1.0")
    site.select("bad", "good")
    return pypi


@pytest.mark.proves("reliability/upstream")
@pytest.mark.parametrize("dripping", DRIPS)
async def test_drip_ends(tmp_path: Path, raw: Wire, monkeypatch: pytest.MonkeyPatch, dripping: str) -> None:
    """Whatever is dripped, an attempt ends within the patience for it, and the project after its attempts."""
    monkeypatch.setattr("mirror_syncer.upstream.http.exchange._RATE_GRACE_SECONDS", 0.5)
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
async def test_page_that_takes_for_ever(tmp_path: Path, raw: Wire) -> None:
    """A page that comes fast enough, and has no end, is given up when its time is over, and not asked for at once."""
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
async def test_list_that_takes_for_ever(tmp_path: Path, raw: Wire) -> None:
    """A list of projects that comes fast enough, and has no end, fails the run when its time is over."""
    raw.answers["/simple/"] = drip(JSON + b"\r\n", b" " * 5_000)
    site = Site(tmp_path, upstream=raw.url)
    site.everything()
    async with site.running(limits=replace(IMPATIENT, max_file_seconds=1)) as running:
        run = await running.sync()

    assert (run.state, len(raw.heads)) == (RunState.FAILED, 1)
    assert "; giving up" in (run.message or "")


@pytest.mark.proves("reliability/upstream")
async def test_file_that_takes_for_ever(
    site: Site, neighbours: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file that comes fast enough, and would take for ever, ends its turn; in its next ones it goes on."""
    monkeypatch.setattr("mirror_syncer.volume.tree._MIN_STAGED_BYTES", 100_000)
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
async def test_absurd_retry_after(site: Site, neighbours: fakepypi.FakePyPI, value: str) -> None:
    """A Retry-After that is no time, or none that anybody could wait for, is one project's failure."""
    neighbours.faults.on_page("bad").status(503, retry_after=value)

    run = await site.sync()

    assert (run.state, [failure.project for failure in run.failures]) == (RunState.INCOMPLETE, ["bad"])
    assert "503" in run.failures[0].reason


async def test_304_that_nobody_asked_for(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A 304 to a request without a condition speaks of no page that is known: the project is failing."""
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
async def test_etag_that_says_more(tmp_path: Path, raw: Wire, etag: bytes, line: bytes) -> None:
    """Nothing that upstream puts into an ETag becomes a header of ours, or makes it refuse what we ask for later."""
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
async def test_absurd_redirect(tmp_path: Path, raw: Wire, location: bytes) -> None:
    """A redirect to what is no URL, or to bytes that are no text, is its project's failure, told as one."""
    raw.answers["/simple/bad/"] = send(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location)
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")
    async with site.running() as running:
        run = await running.sync()
        row = running.row("bad")

    assert (run.state, row.state) == (RunState.INCOMPLETE, ProjectState.FAILING)


async def test_host_that_only_begins_like_ours() -> None:
    """A URL without a path is asked for of its own host, however much that is like one asked before."""
    hosts = frozenset({"127.0.0.1:80"})
    options = ClientOptions(user_agent="test", hosts=hosts, connections=2, limits=Limits(attempts=1))
    async with Client(options) as client:
        with contextlib.suppress(UpstreamError):
            await client.get("http://127.0.0.1/", endpoint="page", headers={}, priority=Priority.NAMED)
        for url in ("http://127.0.0.12", "http://127.0.0.12?/", "http://127.0.0.1:8", "http://127.0.0.1@[::1]"):
            with pytest.raises(RefusedError, match="is not allowed"):
                await client.get(url, endpoint="page", headers={}, priority=Priority.NAMED)


async def test_url_of_five_megabytes(site: Site, neighbours: fakepypi.FakePyPI) -> None:
    """A file's URL past all bounds is refused, and neither the run's document nor the row repeats it."""
    neighbours.faults.on_page("bad").file_url(f"{neighbours.url}/{'a' * 5_000_000}")
    async with site.running() as running:
        run = await running.sync()
        row = running.row("bad")

    assert "characters, more than" in run.failures[0].reason
    assert len(run.model_dump_json()) < 5_000
    assert len(row.error or "") < 1_000


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("size", [4_200_000, 1_100])
def test_page_of_junk_entries(size: int) -> None:
    """A page of nothing but zeros, eight megabytes of them, is refused before anything is made of it."""
    body = b'{"meta":{},"name":"bad","files":[' + b"0," * size + b"0]}"

    with memory_below(MIB), pytest.raises(InvalidPageError, match="more than"):
        parse_json(body, name=NormalizedName("bad"), url="http://127.0.0.1/")


@pytest.mark.proves("security/upstream")
def test_page_of_junk_versions() -> None:
    """Versions of more releases than any project has files are none: of each, PEP 440 would have to be asked."""
    body = b'{"meta":{},"name":"bad","files":[],"versions":[' + b'"1",' * 200_000 + b'"1"]}'

    with pytest.raises(InvalidPageError, match="200,001 versions"):
        parse_json(body, name=NormalizedName("bad"), url="http://127.0.0.1/")


@pytest.mark.proves("reliability/upstream")
async def test_oversize_body_leaves_nothing(
    site: Site, neighbours: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that is larger than its page says is not kept to go on with, where large files are."""
    monkeypatch.setattr("mirror_syncer.volume.tree._MIN_STAGED_BYTES", 0)
    neighbours.faults.on_file(project="bad").endless()

    run = await site.sync()

    assert run.counts.files_failed == 2
    assert list((site.data / "pypi" / ".staging").iterdir()) == []
    site.assert_whole()
