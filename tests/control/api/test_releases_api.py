"""Calls about held files and releases."""

import httpx2
import pytest

from control.fake_syncer import FakeSyncer
from mirror_contract import Release, RunRequest
from mirror_control.access.rights import Right
from mirror_control.settings import Settings

FIX = {"requirement": "Six == 2.0", "because": " CVE-2026-1234 ", "for": "2d"}


def test_release_is_201_with_the_run_that_publishes_it(
    holder: httpx2.Client, settings: Settings, syncer: FakeSyncer
) -> None:
    """POST /releases reaches the syncer with the token's name; the answer names the run, which a caller may follow."""
    token = settings.tokens.named.create("alice", Right.REMOVE)
    answer = holder.post(
        "/api/v1/releases",
        json=FIX,
        headers={"Authorization": f"Bearer {token}", "X-Trigger": "cli", "X-Released-By": "mallory"},
    )
    release = Release.model_validate_json(answer.content)
    run = holder.get(f"/api/v1/runs/{release.run}").json()
    listed = holder.get("/api/v1/releases").json()

    assert (answer.status_code, release.requirement, release.because) == (201, "six==2.0", "CVE-2026-1234")
    assert release.by == "alice"
    assert run["request"] == RunRequest.model_validate(
        {"kind": "sync", "projects": ["six"], "offline": True}
    ).model_dump(mode="json")
    assert run["trigger"] == "cli"
    assert [one["id"] for one in listed["items"]] == [release.id]
    assert next(seen for seen in syncer.seen if seen.method == "POST").path == "/releases"


def test_release_is_revoked_once(holder: httpx2.Client) -> None:
    """DELETE /releases/{id} answers with the release and the run; the second time it is 404."""
    made = holder.post("/api/v1/releases", json=FIX).json()
    revoked = holder.delete(f"/api/v1/releases/{made['id']}")
    again = holder.delete(f"/api/v1/releases/{made['id']}")

    assert (revoked.status_code, again.status_code) == (200, 404)
    assert revoked.json()["run"] not in (None, made["run"])
    assert holder.get("/api/v1/releases").json() == {"items": [], "next": None}


def test_refused_release_says_why(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """The syncer's reason reaches the caller; a request that is wrong in itself never reaches the syncer."""
    blocked = holder.post("/api/v1/releases", json={"requirement": "evil==1", "because": "x"})
    asked = len(syncer.seen)
    wrong = holder.post("/api/v1/releases", json={"requirement": "six>=1", "because": "", "for": "1y"})

    assert (blocked.status_code, wrong.status_code) == (409, 422)
    assert "a block beats every release" in blocked.json()["detail"]
    assert {error["pointer"] for error in wrong.json()["errors"]} == {"#/requirement", "#/because", "#/for"}
    assert len(syncer.seen) == asked


def test_held_files_are_filtered_and_paged(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """GET /held passes its filters on, and its Link header leads to the rest."""
    first = client.get("/api/v1/held?project=SIX&decision=hold&decision=block&limit=1")
    rest = client.get(first.headers["link"].partition(">")[0].removeprefix("<"))

    assert [one["filename"] for one in first.json()["items"] + rest.json()["items"]] == [
        "six-2.0.tar.gz",
        "six-1.0.tar.gz",
    ]
    asked = next(seen for seen in syncer.seen if seen.path == "/held")
    assert asked.query == [("limit", "1"), ("project", "six"), ("decision", "hold"), ("decision", "block")]
    assert rest.json()["next"] is None


@pytest.mark.parametrize("query", ["decision=keep", "project=/etc/x", "limit=0", "wish=1"])
def test_wrong_filter_is_422(client: httpx2.Client, query: str) -> None:
    """An unknown decision, name or parameter is refused."""
    assert client.get(f"/api/v1/held?{query}").status_code == 422


@pytest.mark.parametrize("identifier", ["..%2Fruns", "a b", "G", "a" * 33])
def test_id_of_a_release_cannot_escape(holder: httpx2.Client, syncer: FakeSyncer, identifier: str) -> None:
    """An id that is none is not passed on."""
    assert holder.delete(f"/api/v1/releases/{identifier}").status_code in (404, 422)
    assert all(seen.method != "DELETE" for seen in syncer.seen)
