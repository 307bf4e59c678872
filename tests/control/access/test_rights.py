"""The right of each call: declared by its route, documented in OpenAPI, and enforced."""

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
from mirror_control.access.audit import READING_CALLS
from mirror_control.access.rights import Right, required_right
from mirror_control.server.application import create_app
from mirror_control.settings import Settings

As = Callable[[str | None], httpx2.Client]

# Calls that are sent something to judge, and change nothing.
JUDGING = {
    "/api/v1/policy/check",
    "/ui/audit",
    "/ui/policy/check",
    "/ui/policy/file",
    "/ui/releases",
    "/ui/selection",
    "/ui/misses",
}
RIGHTS = (auth.needs_read, auth.needs_trigger, auth.needs_remove, auth.open_to_all)
# The calls that need a token, with their rights; all others are open, and this list is what docs/api.md shows.
CALLS = {
    ("get", "/api/v1/misses"): "read",
    ("get", "/api/v1/policy"): "read",
    ("post", "/api/v1/policy/check"): "read",
    ("get", "/api/v1/releases"): "read",
    ("post", "/api/v1/releases"): "remove",
    ("delete", "/api/v1/releases/{release_id}"): "remove",
    ("get", "/api/v1/selection"): "read",
    ("post", "/api/v1/projects"): "trigger",
    ("delete", "/api/v1/projects/{name}"): "remove",
    ("post", "/api/v1/runs"): "trigger",
    ("post", "/api/v1/runs/{run_id}/cancel"): "trigger",
    ("post", "/api/v1/schedule/pause"): "trigger",
    ("post", "/api/v1/schedule/resume"): "trigger",
}


def declarations(settings: Settings) -> Iterator[tuple[str, set[str], list[Any]]]:
    """Yield path, methods and dependencies of each route of the application."""
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
    """Return a client with a token of a right, or without a token."""
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
    """Every route declares a right, and no changing route is open to all; OSV's queries only read."""
    found = list(declarations(settings))
    assert len(found) > 20
    for path, methods, dependencies in found:
        declared = [one for one in dependencies if one in RIGHTS]
        assert len(declared) == 1, f"{path} declares {len(declared)} rights; auth.py has those there are"
        if all((method, path) in READING_CALLS for method in methods):
            assert declared == [auth.open_to_all], path
        elif not methods <= {"GET", "HEAD", "OPTIONS"}:
            assert declared[0] in (auth.needs_trigger, auth.needs_remove) or path in JUDGING, path
            assert declared != [auth.open_to_all], path


def test_openapi_names_the_right_of_each_call(client: httpx2.Client) -> None:
    """OpenAPI names the right of each call that needs a token, with 401 and 403 among its responses."""
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
def test_every_call_requires_its_right(as_one: As, client: httpx2.Client, right: str | None) -> None:
    """Each call is 401 without a token, 403 with a lesser right, and otherwise works."""
    bearer = as_one(right)
    order = ["read", "trigger", "remove"]
    for path, calls in client.get("/api/openapi.json").json()["paths"].items():
        for method in calls:
            needed = CALLS.get((method, path))
            answer = bearer.request(
                method, path.replace("{name}", "six").replace("{run_id}", "none").replace("{release_id}", "0")
            )
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
def test_removing_run_needs_right_remove(as_one: As, syncer: FakeSyncer, wanted: dict[str, Any]) -> None:
    """With the right `trigger`, a run that may override the guard, repair, confirm or collect is 403."""
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
        {"kind": "sync", "offline": True},
        {"kind": "verify"},
        {"kind": "verify", "upstream": True},
    ],
)
def test_run_that_removes_nothing_needs_right_trigger(as_one: As, wanted: dict[str, Any]) -> None:
    """Syncs and verifies, also forced or of named projects, need only the right `trigger`."""
    assert as_one("read").post("/api/v1/runs", json=wanted).status_code == 403
    assert as_one("trigger").post("/api/v1/runs", json=wanted).status_code == 202


def test_operators_token_has_every_right(holder: httpx2.Client) -> None:
    """The operator's token may call everything."""
    assert [holder.post("/api/v1/runs", json=wanted).status_code for wanted in REMOVING] == [202] * len(REMOVING)
    assert holder.get("/api/v1/misses").status_code == 200
    assert holder.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.proves("security/tokens-and-secrets")
def test_unknown_option_needs_right_remove() -> None:
    """Every option of a run needs the right `remove`, unless it is listed as harmless."""
    harmless = {"kind", "projects", "force", "offline", "upstream"}
    samples = {"allow_removals": 1, "repair": True, "confirm": True}
    assert set(RunRequest.model_fields) - harmless <= samples.keys() | set(RunRequest.model_fields)
    for name in set(RunRequest.model_fields) - harmless:
        options: dict[str, Any] = {name: samples.get(name, True)}
        wanted = RunRequest.model_construct(kind=RunKind.SYNC, **options)
        assert required_right(wanted) is Right.REMOVE, name


@given(one=st.sampled_from(Right), other=st.sampled_from(Right))
def test_rights_are_ordered(one: Right, other: Right) -> None:
    """Of two rights, one includes the other; both include each other only if they are equal."""
    assert one.includes(other) or other.includes(one)
    assert (one.includes(other) and other.includes(one)) is (one is other)


@pytest.mark.proves("security/clients")
def test_head_needs_the_right_of_get(client: httpx2.Client) -> None:
    """HEAD needs the same right as GET."""
    assert client.head("/api/v1/misses").status_code == 401


@pytest.mark.proves("security/web-pages")
def test_api_allows_no_cors(client: httpx2.Client) -> None:
    """The API lets no page of another origin read it, and refuses preflights."""
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/api/v1/status", "/api/v1/misses", "/api/v1/runs", "/api/openapi.json", "/ui/", "/metrics"):
        for method in ("GET", "OPTIONS"):
            answer = client.request(method, path, headers=asked)
            assert not [name for name in answer.headers if name.startswith("access-control-")], path
    assert client.options("/api/v1/runs", headers=asked).status_code == 405
