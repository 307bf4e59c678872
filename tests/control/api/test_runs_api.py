"""Runs, projects and the schedule over HTTP: what control forwards, and what it refuses."""

import httpx2
import pytest

from control.fake_syncer import FakeSyncer
from mirror_contract import Run, RunState, Trigger
from mirror_control.access.rights import Right
from mirror_control.settings import Settings


def test_started_run_is_202_with_location(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """POST /runs answers 202 with the run, and Location leads to it."""
    answer = holder.post("/api/v1/runs", json={"kind": "sync", "projects": ["Zope.Interface"]})
    run = Run.model_validate_json(answer.content)

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/runs/{run.id}"
    assert run.request.projects == ("zope-interface",)
    assert run.trigger is Trigger.API
    assert holder.get(answer.headers["location"]).json() == answer.json()


def test_idempotency_key_reaches_the_syncer(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """The syncer gets one key for each of the caller's keys, and the caller's trigger."""
    for key in ("k-1", "k-1", "k-2"):
        holder.post("/api/v1/runs", json={"kind": "sync"}, headers={"Idempotency-Key": key, "X-Trigger": "cli"})
    seen = [one for one in syncer.seen if one.method == "POST"]
    first, again, other = (one.headers["Idempotency-Key"] for one in seen)

    assert first == again != other
    assert seen[0].headers["X-Trigger"] == "cli"
    assert "Authorization" not in seen[0].headers


@pytest.mark.proves("security/tokens-and-secrets")
def test_idempotency_keys_of_two_tokens_differ(holder: httpx2.Client, settings: Settings, syncer: FakeSyncer) -> None:
    """Calls of two tokens with the same key are two calls, and neither gets the other's run."""
    keys = []
    for token in (settings.tokens.named.create(name, Right.TRIGGER) for name in ("one", "two")):
        headers = {"Idempotency-Key": "nightly", "Authorization": f"Bearer {token}"}
        assert holder.post("/api/v1/runs", json={"kind": "sync"}, headers=headers).status_code == 202
        keys.append(syncer.seen[-1].headers["Idempotency-Key"])

    assert len(set(keys)) == 2


def test_trigger_of_a_caller_is_api_or_cli(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """A caller can only set the triggers api and cli."""
    answer = holder.post("/api/v1/runs", json={"kind": "sync"}, headers={"X-Trigger": "schedule"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "header/X-Trigger"
    assert syncer.runs == {}


def test_filters_reach_the_syncer(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Control passes all filters to the syncer unchanged."""
    query: list[tuple[str, str | int | float | bool | None]] = [
        ("state", "failed"),
        ("state", "incomplete"),
        ("kind", "sync"),
        ("trigger", "api"),
        ("trigger", "cli"),
        ("since", "2026-11-22T16:12:33Z"),
        ("limit", "7"),
        ("after", "a/b&c"),
    ]

    assert client.get("/api/v1/runs", params=query).json() == {"items": [], "next": None}
    assert sorted(next(one.query for one in syncer.seen if one.path == "/runs")) == sorted(query)


def test_link_headers_lead_through_a_list(holder: httpx2.Client) -> None:
    """The Link header leads through all pages of a filtered list; the last page has none (RFC 8288)."""
    asked = [{"kind": "sync", "projects": [name]} for name in ("a", "b", "c")]
    made = [holder.post("/api/v1/runs", json=body).json()["id"] for body in asked]
    found, links, address = [], 0, "/api/v1/runs?state=queued&state=running&limit=2"
    while address:
        answer = holder.get(address)
        found += [run["id"] for run in answer.json()["items"]]
        assert ("next" in answer.links) == (answer.json()["next"] is not None)
        address = answer.links.get("next", {}).get("url", "")
        assert not address or address.startswith("/api/v1/runs?state=queued&state=running&limit=2&after=")
        links += bool(address)

    assert (found, links) == (made[::-1], 1)


def test_second_cancel_is_409(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """Cancelling answers 202, and 409 with the syncer's message once the run has ended."""
    run_id = holder.post("/api/v1/runs", json={"kind": "verify"}).json()["id"]
    first = holder.post(f"/api/v1/runs/{run_id}/cancel")
    second = holder.post(f"/api/v1/runs/{run_id}/cancel")

    assert (first.status_code, first.json()["state"]) == (202, RunState.CANCELLED)
    assert (second.status_code, second.json()["detail"]) == (409, f"The run {run_id} has ended: cancelled.")


def test_problem_of_the_syncer_passes_unchanged(holder: httpx2.Client) -> None:
    """A problem that the caller can correct passes unchanged, with its own members."""
    answer = holder.post("/api/v1/runs", json={"kind": "sync", "force": True})

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["requests"] == 2


@pytest.mark.proves("reliability/time-and-order")
def test_full_queue_is_429_with_retry_after(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """A full queue is 429 with the remedy and Retry-After."""
    syncer.waiting_most = 1
    holder.post("/api/v1/runs", json={"kind": "sync", "projects": ["six"]})
    answer = holder.post("/api/v1/runs", json={"kind": "sync", "projects": ["idna"]})

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    assert answer.json()["detail"].startswith("Enough runs wait already")


def test_project_is_found_in_any_spelling(client: httpx2.Client) -> None:
    """Zope.Interface and zope-interface are one project (PEP 503)."""
    assert client.get("/api/v1/projects/Zope.Interface").json()["name"] == "zope-interface"


def test_unmirrored_project_is_404_with_reason(client: httpx2.Client) -> None:
    """The 404 of a project contains the syncer's reason."""
    answer = client.get("/api/v1/projects/nowhere")

    assert (answer.status_code, answer.json()["detail"]) == (404, "mirror.toml does not name this project.")


@pytest.mark.parametrize("path", ["runs/..%2Fstatus", "runs/%2e%2e", "projects/..%2Fstatus", "projects/%2Fetc%2Fx"])
def test_path_parameter_cannot_escape(client: httpx2.Client, syncer: FakeSyncer, path: str) -> None:
    """No run id and no project name can address another path of the syncer."""
    before = len(syncer.seen)
    answer = client.get(f"/api/v1/{path}")

    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert all(one.path in ("/status", "/metrics") for one in syncer.seen[before:]), "the watch alone may ask"


def test_schedule_can_be_paused_and_resumed(holder: httpx2.Client) -> None:
    """Pausing and resuming answer 200 with the new schedule."""
    assert holder.post("/api/v1/schedule/pause").json()["paused"] is True
    assert holder.post("/api/v1/schedule/resume").json()["paused"] is False


def test_422_lists_all_errors(holder: httpx2.Client) -> None:
    """A 422 lists all errors of a request, each with a pointer."""
    answer = holder.post(
        "/api/v1/runs", json={"kind": "sync", "projects": ["six", "/etc/x"], "allow_removals": -1, "a/b": 1}
    )
    problem = answer.json()

    assert answer.status_code == problem["status"] == 422
    assert [one["pointer"] for one in problem["errors"]] == ["#/projects/1", "#/allow_removals", "#/a~1b"]
    assert "'/etc/x' is not a project name" in problem["errors"][0]["detail"]


def test_option_of_another_kind_is_422(holder: httpx2.Client) -> None:
    """Control refuses an option of another kind with the contract's message."""
    answer = holder.post("/api/v1/runs", json={"kind": "verify", "force": True})

    assert answer.json()["errors"] == [
        {"pointer": "#", "detail": "'force' is only valid for kind 'sync', not for 'verify'"}
    ]


@pytest.mark.parametrize(
    "query", ["sate=failed", "state=odd", "limit=0", "limit=201", "kind=", "after=", "trigger=me", "since=1"]
)
def test_invalid_filter_is_refused(client: httpx2.Client, query: str) -> None:
    """A misspelt or invalid filter is a problem, not a list of everything."""
    answer = client.get(f"/api/v1/runs?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(f"query/{query.partition('=')[0]}")


@pytest.mark.parametrize("content", [rb'{"\ud800": 1}', rb'{"kind": "\ud800"}', rb'{"projects": ["\ud800"]}'])
def test_lone_surrogate_is_422(holder: httpx2.Client, content: bytes) -> None:
    """JSON with a lone surrogate, which UTF-8 cannot encode, is 422."""
    answer = holder.post("/api/v1/runs", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"", b"[]", b"null", b'{"kind": "sync"} trailing'])
def test_any_body_is_answered_with_a_problem(holder: httpx2.Client, content: bytes) -> None:
    """Any JSON body gets a problem of the caller and never an internal error."""
    answer = holder.post("/api/v1/runs", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "kind", "place", "told"),
    [
        (b'{"kind": "sync"}', "application/x-www-form-urlencoded", "#", "Content-Type: application/json"),
        (b"", "application/json", "#", "send a JSON object"),
        (b"[]", "application/json", "#", "send a JSON object"),
        (b'{"kind": ', "application/json", "#", "is not JSON: Expecting value, at character 9"),
        (b'{"kind": "sync", "projects": "six"}', "application/json", "#/projects", "a valid list"),
        (b'{"kind": "sync", "projects": []}', "application/json", "#/projects", "List should have at least 1 item"),
        (b'{"kind": "sync", "projects": ["/x"]}', "application/json", "#/projects/0", "is not a project name"),
    ],
)
def test_common_mistake_is_explained_once(
    holder: httpx2.Client, content: bytes, kind: str, place: str, told: str
) -> None:
    """A typical first mistake with curl is explained once, with the correct request."""
    answer = holder.post("/api/v1/runs", content=content, headers={"Content-Type": kind})
    (fault,) = answer.json()["errors"]

    assert (answer.status_code, fault["pointer"]) == (422, place)
    assert told in fault["detail"]


def test_unescaped_plus_is_explained(client: httpx2.Client) -> None:
    """A + that became a space in a query is explained."""
    assert "%2B" in client.get("/api/v1/runs?since=2026-11-22T16:12:33+01:00").json()["detail"]
    assert client.get("/api/v1/runs?since=2026-11-22T16:12:33%2B01:00").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/runs/", 404),
        ("GET", "/", 404),
        ("DELETE", "/api/v1/runs", 405),
    ],
)
def test_404_and_405_are_problems(holder: httpx2.Client, method: str, path: str, status: int) -> None:
    """404 and 405 are problems, and nothing redirects to control's internal address."""
    answer = holder.request(method, path)

    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
