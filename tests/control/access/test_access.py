"""Who may change something, and how much a request may send."""

from collections.abc import Iterator

import httpx2
import pytest

from control.conftest import TOKEN
from control.fake_syncer import FakeSyncer
from mirror_control.server.body_limit import LONGEST

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
def test_without_the_token_nothing_changes(
    client: httpx2.Client, syncer: FakeSyncer, given: str | None, challenge: str
) -> None:
    """Anything but the token is 401 with a challenge, and the syncer hears nothing of it."""
    headers = {b"Authorization": given.encode()} if given else {}
    answer = client.post("/api/v1/runs", json={"kind": "sync"}, headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "mirrorctl token" in answer.json()["detail"]
    assert syncer.runs == {}


@pytest.mark.proves("security/network")
def test_a_wrong_token_does_not_read(client: httpx2.Client, holder: httpx2.Client) -> None:
    """Who brings a token to a reading call is let in by the right one alone: nginx asks them for no password."""
    for given in ("Bearer", f"bearer {TOKEN}x", f"BEARER  x{TOKEN}"):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert client.request(method, "/api/v1/status", headers={"Authorization": given}).status_code == 401, given

    assert client.get("/api/v1/status", headers={"Authorization": "Basic Ym9iOnB3"}).status_code == 200
    assert holder.get("/api/v1/status").status_code == 200


def test_the_scheme_is_spelt_in_any_case(client: httpx2.Client) -> None:
    """RFC 9110, 11.1: the name of a scheme has no case."""
    answer = client.post("/api/v1/schedule/pause", headers={"Authorization": f"bearer {TOKEN}"})

    assert answer.status_code == 200


@pytest.mark.proves("security/clients")
def test_a_stranger_learns_nothing(client: httpx2.Client) -> None:
    """Without the token, neither a broken body nor an address that is none is told from a right one."""
    broken = client.post("/api/v1/runs", content=b"{", headers=JSON)
    nowhere = client.post("/api/v1/nothing")

    assert broken.status_code == nowhere.status_code == 401


def test_a_long_body_is_refused_before_it_is_read(holder: httpx2.Client) -> None:
    """A body that says it is too long is 413, as a problem."""
    answer = holder.post("/api/v1/runs", content=b" " * (LONGEST + 1), headers=JSON)

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


@pytest.mark.proves("security/clients")
def test_a_body_of_unknown_length_is_cut_off(holder: httpx2.Client) -> None:
    """A body in chunks is 413 once it has grown too long."""

    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * (LONGEST // 16)

    answer = holder.post("/api/v1/runs", content=chunks(), headers=JSON)

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_ten_thousand_projects_fit(holder: httpx2.Client) -> None:
    """The most projects that the contract allows in a run go through."""
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
def test_a_megabyte_of_nonsense_costs_little(holder: httpx2.Client, syncer: FakeSyncer, body: bytes) -> None:
    """Whatever a token's holder fills a body with, the answer is a short refusal, and nothing reaches the syncer."""
    assert len(body) <= LONGEST
    answer = holder.post("/api/v1/runs", content=body, headers=JSON)

    assert answer.status_code in (400, 422)
    assert len(answer.content) < 20_000
    assert len(answer.json().get("errors") or []) <= 20
    assert syncer.runs == {}
