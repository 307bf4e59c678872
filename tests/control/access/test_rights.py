"""Which right each call needs: declared by its route, told by the OpenAPI document, and held."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.conftest import TOKEN
from control.fake_syncer import FakeSyncer
from mirror_contract import RunKind, RunRequest
from mirror_control.access import auth
from mirror_control.access.rights import Right, right_for
from mirror_control.server.application import create_app
from mirror_control.settings import Settings

As = Callable[[str | None], httpx2.Client]

# Calls that are sent something to judge, and change nothing.
JUDGING = {"/api/v1/policy/check"}
# The calls that need a token, with their rights; all others are open, and this list is what docs/api.md shows.
CALLS = {
    ("get", "/api/v1/misses"): "read",
    ("post", "/api/v1/policy/check"): "read",
    ("post", "/api/v1/runs"): "trigger",
    ("post", "/api/v1/runs/{run_id}/cancel"): "trigger",
    ("post", "/api/v1/schedule/pause"): "trigger",
    ("post", "/api/v1/schedule/resume"): "trigger",
}


def declarations(settings: Settings) -> Iterator[tuple[str, set[str], list[Any]]]:
    """Yield path, methods and dependencies of each route that the application has, however it was included."""
    # Which FastAPI answers itself: the document.
    waiting: list[Any] = [
        route for route in create_app(settings).routes if getattr(route, "path", "") != "/api/openapi.json"
    ]
    while waiting:
        route = waiting.pop()
        if hasattr(route, "effective_candidates"):
            waiting += route.effective_candidates()
        else:
            yield route.path, set(route.methods), list(route.dependencies)


@pytest.fixture
def as_one(client: httpx2.Client, settings: Settings) -> Iterator[As]:
    """A client that brings a token of this right; None brings none."""
    opened: list[httpx2.Client] = []

    def holding(right: str | None) -> httpx2.Client:
        token = settings.tokens.named.create(f"the-{right}", Right(right)) if right else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        opened.append(httpx2.Client(base_url=client.base_url, timeout=15, headers=headers))
        return opened[-1]

    yield holding
    for one in opened:
        one.close()


@pytest.mark.proves("security/tokens-and-secrets")
def test_every_route_declares_its_right(settings: Settings) -> None:
    """No route is without a declaration, and what changes something is never open to everyone."""
    found = list(declarations(settings))
    assert len(found) > 20
    for path, methods, dependencies in found:
        declared = [one for one in dependencies if one in (auth.reads, auth.triggers, auth.everyone)]
        assert len(declared) == 1, f"{path} declares {len(declared)} rights; auth.py has those there are"
        if not methods <= {"GET", "HEAD", "OPTIONS"}:
            assert declared == [auth.reads if path in JUDGING else auth.triggers], path


def test_document_tells_the_right_of_each_call(client: httpx2.Client) -> None:
    """OpenAPI names the right of each call that needs a token, and 401 and 403 among its answers."""
    paths = client.get("/api/openapi.json").json()["paths"]
    told = {
        (method, path): call["security"][0]["token"][0]
        for path, calls in paths.items()
        for method, call in calls.items()
        if "security" in call
    }
    assert told == CALLS
    assert all({"401", "403"} <= paths[path][method]["responses"].keys() for method, path in CALLS)


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("right", [None, "read", "trigger", "remove"])
def test_every_call_is_held_to_its_right(as_one: As, client: httpx2.Client, right: str | None) -> None:
    """Each call of the document: 401 without the token that it needs, 403 with a lesser one, else its own answer."""
    bearer = as_one(right)
    order = ["read", "trigger", "remove"]
    for path, calls in client.get("/api/openapi.json").json()["paths"].items():
        for method in calls:
            needed = CALLS.get((method, path))
            answer = bearer.request(method, path.replace("{name}", "six").replace("{run_id}", "none"))
            if needed is None or (right and order.index(right) >= order.index(needed)):
                assert answer.status_code not in (401, 403), path
            else:
                assert answer.status_code == (403 if right else 401), path
                assert "mirrorctl token" in answer.json()["detail"]


REMOVING = [
    {"kind": "collect"},
    {"kind": "sync", "allow_removals": 5},
    {"kind": "sync", "confirm": True},
    {"kind": "sync", "force": True, "confirm": True, "projects": ["six"]},
    {"kind": "verify", "repair": True},
]


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize("wanted", REMOVING)
def test_what_can_remove_needs_the_right(as_one: As, syncer: FakeSyncer, wanted: dict[str, Any]) -> None:
    """A run that may override the guard, repair, confirm or collect is 403 for a token that may only trigger."""
    refused = as_one("trigger").post("/api/v1/runs", json=wanted)
    assert refused.status_code == 403
    assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="remove"'
    assert "mirrorctl token create NAME --right remove" in refused.json()["detail"]
    assert syncer.runs == {}
    assert as_one("remove").post("/api/v1/runs", json=wanted).status_code == 202


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "sync"},
        {"kind": "sync", "projects": ["six"], "force": True},
        {"kind": "verify"},
        {"kind": "verify", "upstream": True},
    ],
)
def test_what_removes_nothing_is_triggered(as_one: As, wanted: dict[str, Any]) -> None:
    """A sync and a verify, also of named projects, also forced, need the right to trigger and no more."""
    assert as_one("read").post("/api/v1/runs", json=wanted).status_code == 403
    assert as_one("trigger").post("/api/v1/runs", json=wanted).status_code == 202


def test_operator_has_every_right(holder: httpx2.Client) -> None:
    """The one token of MIRROR_CONTROL_TOKEN_FILE does all that it did."""
    assert [holder.post("/api/v1/runs", json=wanted).status_code for wanted in REMOVING] == [202] * len(REMOVING)
    assert holder.get("/api/v1/misses").status_code == 200
    assert holder.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.proves("security/tokens-and-secrets")
def test_option_that_is_yet_to_come_needs_the_right_to_remove() -> None:
    """Of a run's options these four alone are harmless: whoever adds one decides, and until then it may remove."""
    harmless = {"kind", "projects", "force", "upstream"}
    samples = {"allow_removals": 1, "repair": True, "confirm": True}
    assert set(RunRequest.model_fields) - harmless <= samples.keys() | set(RunRequest.model_fields)
    for name in set(RunRequest.model_fields) - harmless:
        options: dict[str, Any] = {name: samples.get(name, True)}
        wanted = RunRequest.model_construct(kind=RunKind.SYNC, **options)
        assert right_for(wanted) is Right.REMOVE, name


@given(one=st.sampled_from(Right), other=st.sampled_from(Right))
def test_rights_are_an_order(one: Right, other: Right) -> None:
    """Of two rights one includes the other, and both only where they are the same."""
    assert one.includes(other) or other.includes(one)
    assert (one.includes(other) and other.includes(one)) is (one is other)


@pytest.mark.proves("security/clients")
def test_head_of_misses_is_no_way_around(client: httpx2.Client) -> None:
    """HEAD asks for the right that GET asks for."""
    assert client.head("/api/v1/misses").status_code == 401


@pytest.mark.proves("security/web-pages")
def test_no_other_origin_may_read(client: httpx2.Client) -> None:
    """The API allows no web page of another origin to read, and to a preflight it says no: nothing needs CORS."""
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/api/v1/status", "/api/v1/misses", "/api/v1/runs", "/api/openapi.json", "/ui/", "/metrics"):
        for method in ("GET", "OPTIONS"):
            answer = client.request(method, path, headers=asked)
            assert not [name for name in answer.headers if name.startswith("access-control-")], path
    assert client.options("/api/v1/runs", headers=asked).status_code == 405
