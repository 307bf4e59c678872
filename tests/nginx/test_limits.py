"""Limits on greedy clients, and service for all others meanwhile."""

import asyncio
import contextlib
import re
import resource
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from nginx.containers import REPOSITORY, Container, docker, mirror
from nginx.test_control_proxy import control, wait_for
from nginx.tree import Tree

pytestmark = pytest.mark.docker

Address = tuple[str, int]

LIMITED = "--env=MIRROR_NGINX=limits"
STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")


@pytest.fixture(autouse=True, scope="module")
def descriptors() -> Iterator[None]:
    """Let this process have the connections of thousands of clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def request(path: str, *, method: str = "GET", last: bool = True) -> bytes:
    """Return a request, after which the connection is closed."""
    return f"{method} {path} HTTP/1.1\r\nHost: mirror\r\n{'Connection: close' if last else 'X: x'}\r\n\r\n".encode()


async def statuses(address: Address, sent: bytes) -> Counter[int]:
    """Send all of it at once on one connection, and count the statuses that come until it is closed."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    received = await reader.read()
    writer.close()
    return Counter(int(status) for status in STATUS.findall(received))


async def crowd(address: Address, clients: int, sent: bytes) -> Counter[int]:
    """Count the statuses that simultaneous clients get."""
    return sum(await asyncio.gather(*(statuses(address, sent) for _ in range(clients))), Counter[int]())


@contextlib.contextmanager
def connections(address: Address, number: int, sent: bytes, *, window: int = 65536) -> Iterator[list[socket.socket]]:
    """Hold so many connections on which the same was sent, and nothing is read."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(number):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(30)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            connection.connect(address)
            connection.sendall(sent)
            opened.append(connection)
        yield opened


def first_status(connection: socket.socket) -> int:
    """Return the status of the answer on a connection."""
    match = STATUS.match(connection.recv(64))
    assert match
    return int(match[1])


@pytest.fixture
def limited(image: str, tree: Tree, network: str) -> Iterator[Container]:
    """Return a mirror that limits what an address may take."""
    tree.write("centos/disk.iso", bytes(4 << 20))
    with mirror(image, tree.root, LIMITED, f"--network={network}", "--network-alias=limited") as container:
        yield container


@pytest.mark.proves("security/clients")
async def test_farm_behind_one_address_is_served(limited: Container) -> None:
    """500 machines behind one address install at the same moment within the limits."""
    paths = ("/simple/", "/simple/foo-bar/", "/packages/ab/foo_bar-1.0.tar.gz.metadata", "/packages/ab/foo.tar")
    begun = b"".join(request(path, last=False) for path in paths * 4)
    assert await crowd(limited.inside, 500, begun + request("/simple/")) == {200: 500 * 17}


@pytest.mark.proves("security/clients")
async def test_requests_of_one_address_are_limited(image: str, network: str, limited: Container) -> None:
    """An address with too many requests gets 429, while another one is served."""
    flood = request("/simple/", method="HEAD", last=False) * 400 + request("/simple/", method="HEAD")
    asked = 20
    # bash is all that the image has, and enough to be a client with an address of its own.
    ask = "exec 3<>/dev/tcp/limited/8080; printf 'GET /simple/ HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3"
    others = ("run", "--rm", f"--network={network}", "--entrypoint=bash", image, "-c")
    other = asyncio.create_task(asyncio.to_thread(docker, *others, f"for i in $(seq {asked}); do {ask}; done"))
    answers = Counter[int]()
    while not other.done():
        answers += await crowd(limited.inside, 40, flood)
    assert (await other).count("200 OK") == asked
    # The burst is served, and 2,000 a second.
    assert (answers[200] >= 10_000, answers[429] > 1_000, set(answers)) == (True, True, {200, 429}), answers


@pytest.mark.proves("security/clients")
def test_downloads_of_one_address_are_limited(limited: Container) -> None:
    """An address may have 1,000 simultaneous downloads; one more is 429 with Retry-After."""
    download = request("/centos/disk.iso")
    with connections(limited.inside, 1_100, download, window=2048) as opened:
        assert Counter(map(first_status, opened)) == {200: 1_000, 429: 100}
        refused = httpx2.get(f"http://{limited.inside[0]}:8080/simple/", trust_env=False)
        assert (refused.status_code, refused.text) == (429, "429: too many requests; retry in a second\n")
        assert (refused.headers["Retry-After"], refused.headers["Content-Type"]) == ("1", "text/plain")


@pytest.mark.proves("security/clients")
def test_slow_clients_do_not_block_others(image: str, nginx: Container, network: str, client: httpx2.Client) -> None:
    """3,000 slow clients block nobody and are disconnected after ten seconds."""
    body = b"POST /api/v1/echo HTTP/1.1\r\nHost: mirror\r\nContent-Length: 9\r\n\r\nslow"
    with control(image, network, "one"):
        wait_for(client, "one")
        began = time.monotonic()
        with (
            connections(nginx.inside, 3_000, b"GET /simple/ HTTP/1.1\r\nHost: mir") as headers,
            connections(nginx.inside, 10, body) as bodies,
        ):
            asked = time.monotonic()
            for _ in range(20):
                assert client.get("/simple/foo-bar/").status_code == 200
            assert time.monotonic() - asked < 8, "the others waited"
            assert {_closed(connection) for connection in headers} == {True}
            assert {_closed(connection) for connection in bodies} == {True}
            assert 8 < time.monotonic() - began < 60


@pytest.mark.proves("security/clients")
def test_idle_connections_make_room(image: str, tree: Tree, network: str, tmp_path: Path) -> None:
    """If a worker has no connection left, it closes idle ones for active clients."""
    shipped = (REPOSITORY / "nginx/nginx.conf").read_text(encoding="utf-8")
    alone = tmp_path / "nginx.conf"
    alone.write_text(shipped.replace("worker_processes 8;", "worker_processes 1;"), encoding="utf-8")
    options = (f"--network={network}", f"--volume={alone}:/etc/nginx/nginx.conf:ro")
    with (
        mirror(image, tree.root, *options) as container,
        connections(container.inside, 4_500, b""),
    ):
        for _ in range(20):
            assert httpx2.get(f"http://{container.inside[0]}:8080/simple/", trust_env=False).status_code == 200


@pytest.mark.proves("security/clients")
def test_open_event_streams_are_limited(image: str, nginx: Container, network: str, client: httpx2.Client) -> None:
    """Beyond 256 event streams, the next is 429, and pages are still served."""
    with control(image, network, "one"):
        wait_for(client, "one")
        with connections(nginx.inside, 256, request("/api/v1/runs/1/events")) as followers:
            assert Counter(map(first_status, followers)) == {200: 256}
            refused = client.get("/api/v1/status")
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            assert client.get("/simple/").status_code == 200


@pytest.mark.proves("security/clients")
async def test_reading_calls_are_limited_separately(
    image: str, nginx: Container, network: str, client: httpx2.Client
) -> None:
    """Too many reading calls get 429; changing calls and pages are not affected."""
    flood = request("/api/v1/status", last=False) * 100 + request("/api/v1/status")
    with control(image, network, "one"):
        wait_for(client, "one")
        answers = await crowd(nginx.inside, 20, flood)
        assert client.post("/api/v1/runs").status_code == 200
        assert client.get("/simple/").status_code == 200
    # How many of the burst were left depends on the tests before.
    assert set(answers) == {200, 429}


def _closed(connection: socket.socket) -> bool:
    try:
        while received := connection.recv(4096):
            assert b"HTTP/1.1 408" in received
    except ConnectionResetError:
        pass
    return True
