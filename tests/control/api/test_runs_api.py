"""Runs, projects and the schedule over HTTP: what passes through control, and what does not."""

import httpx2
import pytest

from control.fake_syncer import FakeSyncer
from mirror_contract import Run, RunState, Trigger
from mirror_control.access.rights import Right
from mirror_control.settings import Settings


def test_a_run_is_accepted_with_its_address(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """POST /runs answers 202 with the run, and Location leads to it."""
    answer = holder.post("/api/v1/runs", json={"kind": "sync", "projects": ["Zope.Interface"]})
    run = Run.model_validate_json(answer.content)

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/runs/{run.id}"
    assert run.request.projects == ("zope-interface",)
    assert run.trigger is Trigger.API
    assert holder.get(answer.headers["location"]).json() == answer.json()


def test_an_idempotency_key_reaches_the_syncer(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """The syncer, which owns idempotency, gets one key for each of the caller's, and who asks."""
    for key in ("k-1", "k-1", "k-2"):
        holder.post("/api/v1/runs", json={"kind": "sync"}, headers={"Idempotency-Key": key, "X-Trigger": "cli"})
    seen = [one for one in syncer.seen if one.method == "POST"]
    first, again, other = (one.headers["Idempotency-Key"] for one in seen)

    assert first == again != other
    assert seen[0].headers["X-Trigger"] == "cli"
    assert "Authorization" not in seen[0].headers


@pytest.mark.proves("security/tokens-and-secrets")
def test_an_idempotency_key_is_its_tokens_own(holder: httpx2.Client, settings: Settings, syncer: FakeSyncer) -> None:
    """Two tokens' calls with one key are two calls: neither gets the other's run, nor uses up the other's key."""
    keys = []
    for token in (settings.tokens.named.create(name, Right.TRIGGER) for name in ("one", "two")):
        headers = {"Idempotency-Key": "nightly", "Authorization": f"Bearer {token}"}
        assert holder.post("/api/v1/runs", json={"kind": "sync"}, headers=headers).status_code == 202
        keys.append(syncer.seen[-1].headers["Idempotency-Key"])

    assert len(set(keys)) == 2


def test_nobody_passes_for_the_schedule(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """A caller may be the API or the command line, and no other trigger."""
    answer = holder.post("/api/v1/runs", json={"kind": "sync"}, headers={"X-Trigger": "schedule"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "header/X-Trigger"
    assert syncer.runs == {}


def test_filters_reach_the_syncer(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """State and trigger, as often as they are given, kind, since, limit and after are passed on as they are."""
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


def test_a_link_leads_through_a_list(holder: httpx2.Client) -> None:
    """Link's rel="next", taken as it is, leads through all of a filtered list; the last part has none (RFC 8288)."""
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


def test_a_run_can_be_cancelled_once(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """Cancelling answers 202, and 409 with the syncer's words once the run has ended."""
    run_id = holder.post("/api/v1/runs", json={"kind": "verify"}).json()["id"]
    first = holder.post(f"/api/v1/runs/{run_id}/cancel")
    second = holder.post(f"/api/v1/runs/{run_id}/cancel")

    assert (first.status_code, first.json()["state"]) == (202, RunState.CANCELLED)
    assert (second.status_code, second.json()["detail"]) == (409, f"The run {run_id} has ended: cancelled.")


def test_a_refusal_keeps_what_it_says(holder: httpx2.Client) -> None:
    """A problem of the syncer's that the caller can mend passes whole, members of its own included."""
    answer = holder.post("/api/v1/runs", json={"kind": "sync", "force": True})

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["requests"] == 2


@pytest.mark.proves("reliability/time-and-order")
def test_too_many_runs_are_told_when_to_come_again(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """A run too many is refused with 429, what to do about it, and when to ask again."""
    syncer.waiting_most = 1
    holder.post("/api/v1/runs", json={"kind": "sync", "projects": ["six"]})
    answer = holder.post("/api/v1/runs", json={"kind": "sync", "projects": ["idna"]})

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    assert answer.json()["detail"].startswith("Enough runs wait already")


def test_a_project_is_found_in_any_spelling(client: httpx2.Client) -> None:
    """PEP 503: Zope.Interface and zope-interface are one project."""
    assert client.get("/api/v1/projects/Zope.Interface").json()["name"] == "zope-interface"


def test_a_project_that_is_not_mirrored_says_why(client: httpx2.Client) -> None:
    """A 404 carries the syncer's reason."""
    answer = client.get("/api/v1/projects/nowhere")

    assert (answer.status_code, answer.json()["detail"]) == (404, "mirror.toml does not name this project.")


@pytest.mark.parametrize("path", ["runs/..%2Fstatus", "runs/%2e%2e", "projects/..%2Fstatus", "projects/%2Fetc%2Fx"])
def test_a_path_cannot_leave_its_place(client: httpx2.Client, syncer: FakeSyncer, path: str) -> None:
    """No run's id and no project's name becomes another path at the syncer."""
    before = len(syncer.seen)
    answer = client.get(f"/api/v1/{path}")

    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert all(one.path in ("/status", "/metrics") for one in syncer.seen[before:]), "the watch alone may ask"


def test_the_schedule_can_be_held(holder: httpx2.Client) -> None:
    """Pausing and resuming answer 200 with the schedule as it is then."""
    assert holder.post("/api/v1/schedule/pause").json()["paused"] is True
    assert holder.post("/api/v1/schedule/resume").json()["paused"] is False


def test_every_fault_of_a_request_is_named(holder: httpx2.Client) -> None:
    """A 422 lists all faults, each with a pointer to its place."""
    answer = holder.post(
        "/api/v1/runs", json={"kind": "sync", "projects": ["six", "/etc/x"], "allow_removals": -1, "a/b": 1}
    )
    problem = answer.json()

    assert answer.status_code == problem["status"] == 422
    assert [one["pointer"] for one in problem["errors"]] == ["#/projects/1", "#/allow_removals", "#/a~1b"]
    assert "'/etc/x' is not a project name" in problem["errors"][0]["detail"]


def test_options_belong_to_their_kind(holder: httpx2.Client) -> None:
    """What the contract forbids is refused here, with the contract's words."""
    answer = holder.post("/api/v1/runs", json={"kind": "verify", "force": True})

    assert answer.json()["errors"] == [{"pointer": "#", "detail": "'force' goes with kind 'sync', not with 'verify'"}]


@pytest.mark.parametrize(
    "query", ["sate=failed", "state=odd", "limit=0", "limit=201", "kind=", "after=", "trigger=me", "since=1"]
)
def test_a_filter_that_says_nothing_is_refused(client: httpx2.Client, query: str) -> None:
    """A misspelt or senseless filter is a problem, and no list of everything."""
    answer = client.get(f"/api/v1/runs?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(f"query/{query.partition('=')[0]}")


@pytest.mark.parametrize("content", [rb'{"\ud800": 1}', rb'{"kind": "\ud800"}', rb'{"projects": ["\ud800"]}'])
def test_a_lone_surrogate_is_a_fault_like_any(holder: httpx2.Client, content: bytes) -> None:
    """JSON can name what UTF-8 cannot carry; the answer is a 422 all the same."""
    answer = holder.post("/api/v1/runs", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"", b"[]", b"null", b'{"kind": "sync"} trailing'])
def test_no_body_is_an_internal_error(holder: httpx2.Client, content: bytes) -> None:
    """Whatever is sent as JSON, the answer is a problem of the caller's."""
    answer = holder.post("/api/v1/runs", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "kind", "place", "told"),
    [
        (b'{"kind": "sync"}', "application/x-www-form-urlencoded", "#", "Content-Type: application/json"),
        (b"", "application/json", "#", "send a JSON object"),
        (b"[]", "application/json", "#", "send a JSON object"),
        (b'{"kind": ', "application/json", "#", "is no JSON: Expecting value, at character 9"),
        (b'{"kind": "sync", "projects": "six"}', "application/json", "#/projects", "a valid list"),
        (b'{"kind": "sync", "projects": []}', "application/json", "#/projects", "List should have at least 1 item"),
        (b'{"kind": "sync", "projects": ["/x"]}', "application/json", "#/projects/0", "is not a project name"),
    ],
)
def test_a_fault_is_told_in_the_callers_words(
    holder: httpx2.Client, content: bytes, kind: str, place: str, told: str
) -> None:
    """What a first try with curl gets wrong is said once, at its place, as what to send instead."""
    answer = holder.post("/api/v1/runs", content=content, headers={"Content-Type": kind})
    (fault,) = answer.json()["errors"]

    assert (answer.status_code, fault["pointer"]) == (422, place)
    assert told in fault["detail"]


def test_a_bare_plus_in_a_query_is_told(client: httpx2.Client) -> None:
    """A + that a query turned into a space is named as what it is."""
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
def test_a_wrong_address_is_a_problem(holder: httpx2.Client, method: str, path: str, status: int) -> None:
    """404 and 405 are problems too, and nothing redirects to an address that only control knows."""
    answer = holder.request(method, path)

    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
