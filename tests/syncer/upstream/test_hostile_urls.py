"""Hostile URLs: the mirror contacts only allowed hosts and ports, however a URL is written."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from mirror_contract import ProjectState, RunState
from syncer.site import Site
from syncer.wire import Wire, page, send, wire

pytestmark = pytest.mark.proves("reliability/upstream")

# {own}: the upstream's host and port, which may be asked. {port}: of a service that must not hear of us, on 127.0.0.2
# and on the upstream's own host.
TRICKS = (
    "http://127.0.0.2:{port}/secret",
    "http://127.0.0.1:{port}/secret",
    "//127.0.0.2:{port}/secret",
    "//127.0.0.1:{port}/secret",
    "http://{own}@127.0.0.2:{port}/secret",
    "http://{own}%2f@127.0.0.2:{port}/secret",
    "http://{own}%00@127.0.0.2:{port}/secret",
    "http://{own}\\@127.0.0.2:{port}/secret",
    "http://a@{own}@127.0.0.2:{port}/secret",
    "http://127.0.0.2:{port}@{own}/secret",
    "http://127.0.0.2:{port}\\@{own}/secret",
    "http://127.0.0.2:{port};@{own}/secret",
    "http://127.0.0.2:{port}#@{own}/secret",
    "http://127.0.0.2:{port}?@{own}/secret",
    "http://127.0.0.2:{port}\\secret",
    "http://{own}:{port}/secret",
    "http://{own}.127.0.0.2:{port}/secret",
    "http://127.0.0.1[127.0.0.2]:{port}/secret",
    "http://[127.0.0.2]:{port}/secret",
    "http://[::ffff:127.0.0.2]:{port}/secret",
    "http://[::ffff:127.0.0.1]:{port}/secret",
    "http://[::1]:{port}/secret",
    "http://localhost:{port}/secret",
    "http://LOCALHOST:{port}/secret",
    "http://127.0.0.1.:{port}/secret",
    "http://127.0.0.2.:{port}/secret",
    "http://127.2:{port}/secret",
    "http://2130706434:{port}/secret",
    "http://0x7f000002:{port}/secret",
    "http://0177.0.0.02:{port}/secret",
    "http://0:{port}/secret",
    "http://%31%32%37.0.0.2:{port}/secret",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff12:{port}/secret",
    "http://127\u30020\u30020\u30022:{port}/secret",
    "http://\u2460\u2461\u2466.0.0.2:{port}/secret",
    "http://xn--127-.0.0.2:{port}/secret",
    "http://127.0.0.2:\u0661/secret",
    "http:///127.0.0.2:{port}/secret",
    "http:127.0.0.2:{port}/secret",
    "http:\\\\127.0.0.2:{port}\\secret",
    "\\\\127.0.0.2:{port}\\secret",
    "/\\127.0.0.2:{port}/secret",
    "https://127.0.0.2:{port}/secret",
    "HTTP://127.0.0.2:{port}/secret",
    "ftp://127.0.0.2:{port}/secret",
    "gopher://127.0.0.2:{port}/secret",
    "dict://127.0.0.2:{port}/secret",
    "scp://127.0.0.2:{port}/secret",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "FILE:///etc/passwd",
    "http://{own}/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "javascript:alert(1)",
    "data:text/plain,secret",
)
SECRET = b"secret"


class Forbidden:
    """A service that must not hear of us; it would answer with what is asked for."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note who comes, and oblige."""
        self.heard.append(await reader.read(200))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(SECRET), SECRET))
        writer.close()


@pytest.fixture
async def raw() -> AsyncIterator[Wire]:
    """An upstream by the byte."""
    async with wire() as upstream:
        yield upstream


@pytest.fixture
async def forbidden() -> AsyncIterator[tuple[Forbidden, int]]:
    """The service, on both hosts, and its port."""
    service = Forbidden()
    first = await asyncio.start_server(service.answer, "127.0.0.2", 0)
    port = first.sockets[0].getsockname()[1]
    second = await asyncio.start_server(service.answer, "127.0.0.1", port)
    yield service, port
    for server in (first, second):
        server.close()


def moved(location: str) -> bytes:
    """Return a redirect."""
    return b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location.encode()


@pytest.mark.proves("security/upstream")
async def test_forbidden_hosts_receive_no_request(tmp_path: Path, raw: Wire, forbidden: tuple[Forbidden, int]) -> None:
    """
    No way to write a URL makes us ask anybody but the hosts that may be asked.

    Each is tried as a page's redirect, as a file's URL, and as the redirect of a file; each costs its project alone.
    """
    service, port = forbidden
    for number, trick in enumerate(TRICKS):
        url = trick.format(own=raw.url.removeprefix("http://"), port=port)
        raw.answers[f"/simple/page-{number}/"] = send(moved(url))
        raw.answers[f"/hop/{number}.zip"] = send(moved(url))
        for way, where in (("file", url), ("hop", f"/hop/{number}.zip")):
            entry: dict[str, object] = {
                "filename": f"{way}.zip",
                "url": where,
                "hashes": {"sha256": sha256(SECRET).hexdigest()},
            }
            raw.answers[f"/simple/{way}-{number}/"] = page(f"{way}-{number}", entry)
    raw.answers["/simple/good/"] = page("good")
    names = [f"{way}-{number}" for way in ("page", "file", "hop") for number in range(len(TRICKS))]
    site = Site(tmp_path, upstream=raw.url)
    site.select(*names, "good")
    async with site.running() as running:
        run = await running.sync()
        states = {name: running.row(name).state for name in names}

    assert service.heard == []
    assert {name for name, state in states.items() if state is not ProjectState.FAILING} == set()
    assert (run.state, run.counts.projects_failed) == (RunState.INCOMPLETE, len(names))
    assert site.pages() == ["good"]
    assert list(site.web.glob("packages/*/*")) == []


async def test_list_redirected_to_a_forbidden_host_fails_the_run(
    tmp_path: Path, raw: Wire, forbidden: tuple[Forbidden, int]
) -> None:
    """A project list that redirects to a forbidden host fails the run, and that host receives no request."""
    service, port = forbidden
    raw.answers["/simple/"] = send(moved(f"http://127.0.0.2:{port}/simple/"))
    site = Site(tmp_path, upstream=raw.url)
    site.everything()

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert f"127.0.0.2:{port}' is not allowed" in (run.message or "")
    assert service.heard == []


async def test_long_redirect_is_shortened_in_messages(tmp_path: Path, raw: Wire) -> None:
    """However long a redirect is, the run's message stays short."""
    raw.answers["/simple/"] = send(moved(f"http://{'a' * 90_000}/"))
    site = Site(tmp_path, upstream=raw.url)
    site.everything()

    run = await site.sync()

    assert run.state is RunState.FAILED
    assert len(run.message or "") == 1_000


async def test_circular_redirects_end_after_five(tmp_path: Path, raw: Wire) -> None:
    """Circular redirects end after five, and are not retried."""
    raw.answers["/simple/bad/"] = send(moved("/there/"))
    raw.answers["/there/"] = send(moved("/simple/bad/"))
    raw.answers["/simple/good/"] = page("good")
    site = Site(tmp_path, upstream=raw.url)
    site.select("bad", "good")

    run = await site.sync()

    assert "more than 5 redirects" in run.failures[0].reason
    assert len(raw.heads) == 6 + 1
    assert site.pages() == ["good"]
