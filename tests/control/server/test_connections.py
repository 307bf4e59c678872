"""Slow clients and too many clients of control's own port."""

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2
import pytest

from control.conftest import TOKEN, Serve
from mirror_control.server import connections
from mirror_control.server.process import raise_descriptor_limit

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
Connect = Callable[[], socket.socket]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten control's timeouts of 10 to 60 s to a fifth of a second."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "UNREAD_SECONDS"):
        monkeypatch.setattr(connections, name, 0.2)


@pytest.fixture
def connect(impatient: None, client: httpx2.Client) -> Iterator[Connect]:
    """Open connections to control."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(
            socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
        )


def closed(connection: socket.socket, *, drip: bytes = b"") -> bool:
    """Wait until control closes a connection, sending single bytes if there are any."""
    connection.settimeout(0.05 if drip else 20)
    for _ in range(400):
        try:
            if drip:
                connection.sendall(drip)
            if not connection.recv(65536):
                return True
        except TimeoutError:
            if not drip:
                return False
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_slow_request_head_is_closed(connect: Connect, sent: bytes) -> None:
    """A client that sends nothing, or half a head, is disconnected."""
    connection = connect()
    connection.sendall(sent)
    assert closed(connection)


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("before", [b"", GET])
def test_single_bytes_do_not_extend_the_deadline(connect: Connect, before: bytes) -> None:
    """A head sent byte by byte is disconnected in time, on a new and on a reused connection."""
    connection = connect()
    if before:
        connection.sendall(before)
        while not connection.recv(65536).endswith(b"}"):
            pass
    connection.sendall(b"GET / HTTP/1.1\r\nX: ")
    assert closed(connection, drip=b"x")


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("authorization", ["", f"Authorization: Bearer {TOKEN}\r\n"])
def test_slow_request_body_is_closed(connect: Connect, authorization: str) -> None:
    """A body sent byte by byte is disconnected in time, with and without a token."""
    connection = connect()
    head = f"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Length: 100000\r\n\r\n"
    connection.sendall(head.encode())
    assert closed(connection, drip=b" ")


@pytest.mark.proves("security/clients")
def test_client_that_does_not_read_is_closed(connect: Connect) -> None:
    """A client that does not read its answer is disconnected."""
    connection = connect()
    asked = 0
    connection.settimeout(0.2)
    try:
        for _ in range(2_000):
            connection.sendall(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            asked += 1
    except (TimeoutError, ConnectionResetError, BrokenPipeError):
        pass
    assert asked > 10
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            connection.sendall(b"GET")
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return
    pytest.fail("the connection is still open")


def test_event_stream_stays_open(impatient: None, client: httpx2.Client, holder: httpx2.Client) -> None:
    """A client of an event stream does not count as slow."""
    run_id = holder.post("/api/v1/runs", json={"kind": "sync"}).json()["id"]
    with client.stream("GET", f"/api/v1/runs/{run_id}/events") as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: run")
        time.sleep(0.8)  # four times what a client may take
        holder.post(f"/api/v1/runs/{run_id}/cancel")
        assert any('"cancelled"' in line for line in lines)


@pytest.mark.proves("security/clients")
def test_oldest_idle_connection_is_closed_first(
    monkeypatch: pytest.MonkeyPatch, client: httpx2.Client, holder: httpx2.Client
) -> None:
    """At the limit, the oldest idle connection is closed; active ones and streams stay."""
    run_id = holder.post("/api/v1/runs", json={"kind": "sync"}).json()["id"]
    with client.stream("GET", f"/api/v1/runs/{run_id}/events") as answer, ExitStack() as opened:
        lines = answer.iter_lines()
        next(lines)
        monkeypatch.setattr(connections, "MAX_CONNECTIONS", 8)
        place = (client.base_url.host, client.base_url.port)
        silent = [opened.enter_context(socket.create_connection(place, timeout=20)) for _ in range(20)]
        asking = opened.enter_context(socket.create_connection(place, timeout=20))
        asking.sendall(GET)
        while not (answered := asking.recv(65536)).endswith(b"}"):
            assert answered
        assert closed(silent[0])
        holder.post(f"/api/v1/runs/{run_id}/cancel")
        assert any('"cancelled"' in line for line in lines)


def test_connection_is_refused_if_all_are_active(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """If all connections are active, a new one is refused."""
    with serve() as client:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        run_id = client.post("/api/v1/runs", json={"kind": "sync"}, headers=headers).json()["id"]
        with client.stream("GET", f"/api/v1/runs/{run_id}/events") as answer:
            lines = answer.iter_lines()
            next(lines)
            monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
            with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as late:
                assert closed(late)
            monkeypatch.setattr(connections, "MAX_CONNECTIONS", 100)
            client.post(f"/api/v1/runs/{run_id}/cancel", headers=headers)
            assert any('"cancelled"' in line for line in lines)


def test_descriptor_limit_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A soft limit of 1,024 descriptors is raised as needed, but never above the hard limit."""
    limits = {"is": (1_024, 4_096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["is"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.update({"is": wanted}))
    raise_descriptor_limit()
    assert limits["is"] == (3_000, 4_096)
    limits["is"] = (1_024, 2_048)
    raise_descriptor_limit()
    assert limits["is"] == (2_048, 2_048)
