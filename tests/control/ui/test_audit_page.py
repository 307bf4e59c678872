"""The page of who changed what."""

import re

import httpx2
import pytest

from control.conftest import TOKEN
from control.fake_syncer import FakeSyncer
from mirror_control.access import audit_trail
from mirror_control.access.named_tokens import NamedTokens
from mirror_control.access.rights import Right
from mirror_control.settings import Settings

HOSTILE = "<script>alert(1)</script>"


def read_changes(client: httpx2.Client, token: str = TOKEN) -> httpx2.Response:
    """Ask for the page as a browser does."""
    return client.post("/ui/audit", data={"token": token})


def rows_of(page: str) -> list[str]:
    """Return the text of each row of the table, the header first."""
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr>.+?</tr>", page, re.DOTALL)]


@pytest.mark.proves("security/neighbours")
def test_changes_are_listed_with_token_and_reason(
    client: httpx2.Client, syncer: FakeSyncer, settings: Settings
) -> None:
    """The page names token, call, reason and outcome of each change, newest first, and of a call that was refused."""
    reader = NamedTokens(settings.control_state / "tokens").create("dashboard", Right.READ)
    release = {"do": "release", "requirement": "six==2.0", "because": HOSTILE, "for": "3d"}
    assert client.post("/ui/actions", data={"token": TOKEN, **release}).status_code == 200
    assert client.post("/ui/actions", data={"token": reader, "do": "pause"}).status_code == 403
    client.get("/ui/use")  # the entry is added right after the answer
    page = read_changes(client, reader).text
    _, refused, done = rows_of(page)
    assert "dashboard" in refused
    assert "refused 403" in refused
    assert re.search(r"operator POST /api/v1/releases six==2.0 for .+alert.+ done 20\d", done)
    assert "<script>alert" not in page


def test_changes_need_a_token(client: httpx2.Client) -> None:
    """Without a valid token, the page names nobody; reading it is no change."""
    assert client.get("/ui/audit").status_code == 404
    assert read_changes(client, "wrong").status_code == 401
    read_changes(client)
    assert rows_of(read_changes(client).text) == []


def test_trail_is_bounded() -> None:
    """The last 200 changes are kept."""
    trail = audit_trail.AuditTrail()
    for number in range(201):
        trail.add(audit_trail.AuditEntry(trail.since, "ci", "trigger", f"POST /{number}", "", "", 200))
    entries = trail.newest_first()
    assert (len(entries), entries[0].call, entries[-1].call) == (200, "POST /200", "POST /1")
