"""Calls about the selection's lines, in front of a fake syncer."""

import httpx2
import pytest

from control.fake_syncer import FakeSyncer
from mirror_contract import AddedLine, RunKind
from mirror_control.access.rights import Right
from mirror_control.settings import Settings

DJANGO = {"line": " Django[argon2] >= 5.2 ", "because": "the shop"}


def test_added_line_is_201_with_the_run_that_mirrors_it(
    holder: httpx2.Client, settings: Settings, syncer: FakeSyncer
) -> None:
    """POST /projects reaches the syncer with the token's name; the answer names the run, which a caller may follow."""
    token = settings.tokens.named.create("alice", Right.TRIGGER)
    answer = holder.post(
        "/api/v1/projects",
        json=DJANGO,
        headers={"Authorization": f"Bearer {token}", "X-Trigger": "cli", "X-Added-By": "mallory"},
    )
    line = AddedLine.model_validate_json(answer.content)
    run = holder.get(f"/api/v1/runs/{line.run}").json()
    listed = holder.get("/api/v1/selection").json()["items"]

    assert (answer.status_code, line.line, line.project) == (201, "Django[argon2] >= 5.2", "django")
    assert line.by == "alice"
    assert (run["request"]["kind"], run["request"]["projects"], run["trigger"]) == (RunKind.SYNC, ["django"], "cli")
    assert [(one["line"], one["source"], one["by"]) for one in listed[1:]] == [
        ('idna>=3; sys_platform == "win32"', "mirror.toml", None),
        ("Django[argon2] >= 5.2", "added", "alice"),
    ]
    assert next(seen for seen in syncer.seen if seen.method == "POST").path == "/projects"


@pytest.mark.proves("security/tokens-and-secrets")
def test_another_line_needs_the_right_remove(holder: httpx2.Client, settings: Settings) -> None:
    """A token with the right trigger adds a line and the same line again; another one for its project is 403."""
    token = settings.tokens.named.create("alice", Right.TRIGGER)
    other = DJANGO | {"line": "django==1.0"}

    def add(body: object, **headers: str) -> int:
        return holder.post("/api/v1/projects", json=body, headers=headers).status_code

    bearer = {"Authorization": f"Bearer {token}"}
    assert [add(DJANGO, **bearer), add(DJANGO, **bearer), add(other, **bearer)] == [201, 201, 403]
    assert add(other, **bearer, **{"X-May-Replace": "yes"}) == 403
    assert add(other) == 201


def test_added_line_is_removed_once_by_any_spelling(holder: httpx2.Client) -> None:
    """DELETE /projects/{name} answers with the line and the run of all projects; the second time it is 404."""
    made = holder.post("/api/v1/projects", json=DJANGO).json()
    removed = holder.delete("/api/v1/projects/DJANGO")
    again = holder.delete("/api/v1/projects/django")

    assert (removed.status_code, again.status_code) == (200, 404)
    assert removed.json()["run"] not in (None, made["run"])


def test_selection_links_to_its_next_part(holder: httpx2.Client) -> None:
    """The lines come in parts, each with a link to the next."""
    first = holder.get("/api/v1/selection?limit=1")
    second = holder.get(first.links["next"]["url"])
    assert [one["project"] for one in (*first.json()["items"], *second.json()["items"])] == ["six", "idna"]
    assert "next" not in second.links


def test_refused_line_says_why(holder: httpx2.Client, syncer: FakeSyncer) -> None:
    """A blocked project is the syncer's 409, as it said it."""
    answer = holder.post("/api/v1/projects", json={"line": "evil", "because": "x"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "evil is blocked in mirror.toml: malware; remove it from [block] first.",
    )
    assert syncer.added == {}


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"line": "six"}, "#/because"),
        ({"line": "six", "because": "a\u202eb"}, "#/because"),
        ({"line": "six", "because": "x" * 501}, "#/because"),
        ({"line": "six\x00", "because": "x"}, "#/line"),
        ({"line": "s" * 2001, "because": "x"}, "#/line"),
        ({"line": ["six"], "because": "x"}, "#/line"),
        ({"line": "six", "because": "x", "by": "mallory"}, "#/by"),
    ],
)
def test_hostile_line_does_not_reach_the_syncer(
    holder: httpx2.Client, syncer: FakeSyncer, body: dict[str, object], pointer: str
) -> None:
    """Control refuses text that controls a terminal, is too long, or claims another author, and points to it."""
    answer = holder.post("/api/v1/projects", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert [seen for seen in syncer.seen if seen.method == "POST"] == []
