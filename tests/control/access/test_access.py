"""Authorization of changing calls, and the limit on request bodies."""

from collections.abc import Iterator

import httpx2
import pytest

from control.conftest import TOKEN
from control.fake_syncer import FakeSyncer
from mirror_control.server.body_limit import MAX_BODY_BYTES

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("given", "challenge"),
    [
        (None, "Bearer"),
        ("Bearer", 'Bearer error="invalid_token"'),
        (f"Bearer {TOKEN}x", 'Bearer error="invalid_token"'),
        (f"Bearer {TOKEN[:-1]}", 'Bearer error="invalid_token"'),
        (f"Basic {TOKEN}", 'Bearer error="invalid_token"'),
        (TOKEN, 'Bearer error="invalid_token"'),
        ("Bearer tökén-of-somebody-else", 'Bearer error="invalid_token"'),
    ],
)
def test_change_without_token_is_401(
    client: httpx2.Client, syncer: FakeSyncer, given: str | None, challenge: str
) -> None:
    """A call without a valid token is 401 with a challenge, and never reaches the syncer."""
    headers = {b"Authorization": given.encode()} if given else {}
    answer = client.post("/api/v1/runs", json={"kind": "sync"}, headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "mirrorctl token" in answer.json()["detail"]
    assert syncer.runs == {}


@pytest.mark.proves("security/network")
def test_reading_with_a_wrong_token_is_401(client: httpx2.Client, holder: httpx2.Client) -> None:
    """A reading call with a wrong token is 401, because nginx asks no password of calls with a token."""
    for given in ("Bearer", f"bearer {TOKEN}x", f"BEARER  x{TOKEN}"):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert client.request(method, "/api/v1/status", headers={"Authorization": given}).status_code == 401, given

    assert client.get("/api/v1/status", headers={"Authorization": "Basic Ym9iOnB3"}).status_code == 200
    assert holder.get("/api/v1/status").status_code == 200


def test_scheme_ignores_case(client: httpx2.Client) -> None:
    """The name of the authentication scheme ignores case (RFC 9110, 11.1)."""
    answer = client.post("/api/v1/schedule/pause", headers={"Authorization": f"bearer {TOKEN}"})

    assert answer.status_code == 200


@pytest.mark.proves("security/clients")
def test_answer_without_token_reveals_nothing(client: httpx2.Client) -> None:
    """Without a token, an invalid body or path gets the same answer as a valid one."""
    broken = client.post("/api/v1/runs", content=b"{", headers=JSON)
    nowhere = client.post("/api/v1/nothing")

    assert broken.status_code == nowhere.status_code == 401


def test_declared_long_body_is_413(holder: httpx2.Client) -> None:
    """A body whose Content-Length is too high is 413, as a problem."""
    answer = holder.post("/api/v1/runs", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


@pytest.mark.proves("security/clients")
def test_chunked_long_body_is_413(holder: httpx2.Client) -> None:
    """A chunked body is 413 as soon as it exceeds the limit."""

    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * (MAX_BODY_BYTES // 16)

    answer = holder.post("/api/v1/runs", content=chunks(), headers=JSON)

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_largest_allowed_run_is_accepted(holder: httpx2.Client) -> None:
    """A run with the most projects that the contract allows is accepted."""
    names = [f"a-project-of-usual-length-{number}" for number in range(10_000)]

    assert holder.post("/api/v1/runs", json={"kind": "sync", "projects": names}).status_code == 202


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"sync","projects":[' + b",".join([b'""'] * 340_000) + b"]}",
        b'{"kind":"sync","projects":[' + b",".join([b'"/etc/x"'] * 10_000) + b"]}",
        b'{"kind":"sync","projects":["' + b"a" * 1_000_000 + b'"]}',
        b'{"kind":"sync","projects":["' + b"-" * 1_000_000 + b'"]}',
        b'{"kind":"sync","projects":[' + b",".join([b"[[]]"] * 200_000) + b"]}",
        b'{"kind":"sync",' + b",".join(b'"k%d":1' % number for number in range(90_000)) + b"}",
        b'{"kind":"sync","' + b"k" * 1_000_000 + b'":1}',
        b'{"kind":"' + b"k" * 1_000_000 + b'"}',
        b'{"kind":"sync","allow_removals":' + b"9" * 1_000_000 + b"}",
        b'{"kind":"sync","projects":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    ],
    ids=["empty", "bad", "long", "dashes", "nested", "keys", "key", "kind", "number", "deep"],
)
def test_megabyte_of_invalid_input_is_cheap(holder: httpx2.Client, syncer: FakeSyncer, body: bytes) -> None:
    """Any invalid megabyte gets a short error, and nothing reaches the syncer."""
    assert len(body) <= MAX_BODY_BYTES
    answer = holder.post("/api/v1/runs", content=body, headers=JSON)

    assert answer.status_code in (400, 422)
    assert len(answer.content) < 20_000
    assert len(answer.json().get("errors") or []) <= 20
    assert syncer.runs == {}
