"""Hostile clients, in front of the real nginx, control and syncer."""

import re
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from stack.compose import Stack, until
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

# Only control's internal paths return these.
INSIDE = re.compile(rb'pypi_mirror_|"status":"ok"|"checks"')
REFUSED = re.compile(r"\d{3}: [^\n]+\n")


@pytest.fixture
def settled(mirror: Mirror) -> Iterator[Mirror]:
    """Return the mirror, and restore it afterwards: no run active, and the schedule on."""
    yield mirror
    headers = {"Authorization": f"Bearer {mirror.token}"}
    for run in mirror.client.get("/api/v1/runs", params={"state": "running"}).json()["items"]:
        mirror.client.post(f"/api/v1/runs/{run['id']}/cancel", headers=headers)
    until(mirror.idle, seconds=120)
    mirror.client.post("/api/v1/schedule/resume", headers=headers).raise_for_status()


def send(mirror: Mirror, sent: bytes) -> bytes:
    """Send raw bytes, and return all that comes until the connection closes."""
    url = mirror.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=15) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.proves("security/clients")
def test_every_call_answers_as_documented(settled: Mirror) -> None:
    """Whatever a call receives, control answers as its document says, or nginx refuses it in one line; no 5xx."""
    document = schemathesis.openapi.from_url(f"{settled.client.base_url}/api/openapi.json")
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == 24

    for operation in operations:
        right, wrong = (operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)

        @given(case=right | wrong)
        @settings(max_examples=25, suppress_health_check=list(HealthCheck))
        def keeps(case: schemathesis.Case[Any]) -> None:
            answer = case.call(headers={"Authorization": f"Bearer {settled.token}"})
            if answer.headers["content-type"] == ["text/plain"]:
                assert answer.status_code < 500
                assert REFUSED.fullmatch(answer.text)
            else:
                case.validate_response(answer, excluded_checks=[positive_data_acceptance])

        keeps()


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "path",
    [
        "/{}",
        "//{}",
        "/api/../{}",
        "/api//../{}",
        "/api/./../{}",
        "/api/v1/../../{}",
        "/api/%2e%2e/{}",
        "/api/..%2f{}",
        "/api/%2e%2e%2f{}",
        "/api/%252e%252e/{}",
        "/api/v1/..%252f..%252f{}",
        "/api/..;/{}",
        "/api;/../{}",
        "/api/..\\{}",
        "/api\\..\\{}",
        "/api/%5c..%5c{}",
        "/api/..%00/{}",
        "/api/x%00/../../{}",
        "/api/?/../../{}",
        "/api/#/../../{}",
        "/ui/../{}",
        "/{}/../api/",
        "/{}%2f..%2fapi/",
        "/{}%3f/../api/",
        "/{}#/../api/",
        "/{};/../api/",
        "/{}?/api/",
        "/api%2f..%2f{}",
        "http://control:8081/{}",
        "http://control:8081/api/../{}",
        "control:8081/{}",
        "*/{}",
    ],
)
@pytest.mark.parametrize("inside", ["metrics", "healthz", "readyz"])
def test_path_tricks_reach_no_internal_path(mirror: Mirror, path: str, inside: str) -> None:
    """No spelling of a path reaches control's internal paths."""
    answer = send(mirror, f"GET {path.format(inside)} HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 [234]\d\d ", answer)
    assert not INSIDE.search(answer)


HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + HIDDEN


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", CHUNKED),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", CHUNKED),
        (b"Content-Length: 0\r\nContent-Length: 96", HIDDEN),
        (b"Content-Length: 0, 96", HIDDEN),
        (b"Content-Length: +0", HIDDEN),
        (b"Content-Length: -1", HIDDEN),
        (b"Content-Length: 0x0", HIDDEN),
        (b"Content-Length : 0", HIDDEN),
        (b"Content-Length:\x0b0", HIDDEN),
        (b"Transfer-Encoding : chunked", CHUNKED),
        (b"Transfer-Encoding: xchunked", CHUNKED),
        (b"Transfer-Encoding: identity, chunked", CHUNKED),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", CHUNKED),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", CHUNKED),
        (b"Transfer-Encoding:\x0bchunked", CHUNKED),
        (b"Transfer-Encoding: \x00chunked", CHUNKED),
        (b"X: x\r\n Transfer-Encoding: chunked", CHUNKED),
        (b"X: x\rTransfer-Encoding: chunked", CHUNKED),
        (b"X: x\rContent-Length: 96", HIDDEN),
        (b"Transfer-Encoding: chunked", b"0x0\r\n\r\n" + HIDDEN),
        (b"Transfer-Encoding: chunked", b"fffffffffffffffff0\r\n" + HIDDEN),
        (b"Authorization: Bearer a-token-that-is-none\r\nAuthorization: Basic YTpi\r\nContent-Length: 0", HIDDEN),
        (b"Host: control\r\nContent-Length: 0", HIDDEN),
    ],
)
def test_ambiguous_request_is_refused(mirror: Mirror, headers: bytes, body: bytes) -> None:
    """nginx refuses a request whose end two parsers could place differently, and closes the connection."""
    answer = send(mirror, b"POST /api/v1/runs HTTP/1.1\r\nHost: mirror\r\n" + headers + b"\r\n\r\n" + body)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
    assert statuses in ([b"400"], [b"501"])
    assert b"Connection: close" in answer
    assert not INSIDE.search(answer)


@pytest.mark.proves("security/clients")
def test_lenient_chunks_are_forwarded_unambiguously(mirror: Mirror) -> None:
    """Where nginx is lenient about the end of a body, it forwards its own reading to control."""
    head = b"POST /api/v1/runs HTTP/1.1\r\nHost: mirror\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = send(mirror, head + b"0;\n\r\n\r\n" + HIDDEN)
    # So the rest is a request to nginx, for a path that does not exist.
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"401", b"404"]
    assert answer.endswith(b"404: not on this mirror\n")


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    "headers",
    [
        b"Transfer_Encoding: chunked\r\nContent_Length: 96",
        b"X: x\nY: y",
        b"Connection: close, Content-Length, Transfer-Encoding, Host",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings",
        b"Expect: 100-continue",
        b"X-Original-URL: /metrics\r\nX-Rewrite-URL: /metrics\r\nX-Forwarded-Prefix: /metrics",
        b"X-HTTP-Method-Override: GET",
    ],
)
def test_headers_hidden_in_a_body_have_no_effect(mirror: Mirror, headers: bytes) -> None:
    """Text in a body that looks like headers changes neither the body's end nor the request."""
    length = b"Content-Length: %d" % len(HIDDEN)
    head = b"POST /api/v1/runs HTTP/1.1\r\nHost: mirror\r\n" + headers + b"\r\n" + length + b"\r\n\r\n"
    answer = send(mirror, head + HIDDEN + b"GET /absent HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n")
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
    # Without the token; the rest is answered if the connection is kept.
    assert [status for status in statuses if status != b"100"] in ([b"401"], [b"401", b"404"])
    assert not INSIDE.search(answer)


@pytest.mark.proves("security/clients")
def test_long_body_is_refused_early(stack: Stack, mirror: Mirror) -> None:
    """nginx refuses a body that is too long before it is sent, and buffers no body of an unknown client."""
    head = "POST /api/v1/runs HTTP/1.1\r\nHost: mirror\r\nContent-Length: {}\r\n{}\r\n"
    token = f"Authorization: Bearer {mirror.token}\r\n"
    assert first_answer(mirror, head.format(2 << 20, token)) == (413, "text/plain")
    assert first_answer(mirror, head.format(1 << 20, "")) == (401, "application/problem+json")
    chunks = "10000\r\n" + "x" * 65536 + "\r\n"
    chunked = f"POST /api/v1/runs HTTP/1.1\r\nHost: mirror\r\nTransfer-Encoding: chunked\r\n{token}\r\n"
    assert first_answer(mirror, chunked + chunks * 17)[0] == 413
    assert stack.execute("nginx", "find", "/tmp", "-type", "f", "-size", "+4k") == ""


def first_answer(mirror: Mirror, sent: str) -> tuple[int, str]:
    """Send this, and return status and type of the answer that comes before anything else is sent."""
    url = mirror.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=15) as connection:
        connection.sendall(sent.encode())
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers["Content-Type"]


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("ranges", ["0-0,2-2,4-4", "0-", "-1", "0-99999,0-99999"])
def test_many_ranges_make_no_long_answer(mirror: Mirror, ranges: str) -> None:
    """However many ranges a request has, the answer is no longer than the file and its headers."""
    path = mirror.files("large")[next(iter(mirror.files("large")))]
    size = int(mirror.client.head(path).headers["Content-Length"])
    many = ",".join([ranges] * (7_000 // (len(ranges) + 1)))
    with mirror.client.stream("GET", path, headers={"Range": f"bytes={many}"}) as answer:
        assert (answer.status_code, int(answer.headers["Content-Length"])) == (200, size)


@pytest.mark.proves("security/clients")
def test_forwarded_headers_of_clients_have_no_effect(mirror: Mirror) -> None:
    """No header of a client about its address, host or scheme changes an answer."""
    lies = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil.example", "Host": "mirror"}
    for path in ("/api/v1/status", "/simple/Six", "/api/v1/runs/none"):
        plain = mirror.client.get(path)
        lied = mirror.client.get(path, headers=lies | {"Connection": "X-Forwarded-For"})
        assert (lied.status_code, lied.headers.get("Location")) == (plain.status_code, plain.headers.get("Location"))
        assert "evil.example" not in str(lied.headers) + lied.text


@pytest.mark.proves("security/web-pages")
def test_foreign_host_gets_no_api(mirror: Mirror) -> None:
    """A host name that is not listed gets neither API nor page from nginx, but gets packages."""
    lied = {"Host": "evil.example"}
    for path in ("/api/v1/status", "/api/v1/runs", "/api/openapi.json", "/ui/", "/ui/downloads"):
        answer = mirror.client.get(path, headers=lied)
        assert (answer.status_code, "MIRROR_HOSTS=evil.example" in answer.text) == (421, True), path
    assert mirror.client.get("/simple/", headers=lied).status_code == 200
    assert mirror.client.get("/api/v1/status", headers={"Host": "10.1.2.3:8080"}).status_code == 200
