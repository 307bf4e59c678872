"""The policy page: what is in force, the mistakes of the file, its text for token holders, and a preview."""

import re
import socket
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx2
import pytest

from control.conftest import TOKEN, Serve
from control.fake_syncer import FakeSyncer
from control.live import Background
from mirror_contract import PolicyFact, PolicyFile, PolicyProblem, PolicyState

NOW = datetime.now(UTC)
STATE = PolicyState(
    file="/etc/pypi-mirror/mirror.toml",
    read_at=NOW - timedelta(hours=5),
    facts=[PolicyFact(about="age", text="files wait 7 days")],
    problems=[PolicyProblem(line=6, key="mirror.latest", message="mirror.latest = 0: <b>wrong</b>")],
    invalid_since=NOW - timedelta(days=1),
    warnings=["six: two lines <i>contradict</i> each other"],
)
HOSTILE = '[mirror]\nprojects = ["</textarea></pre><script>alert(1)</script>\u202e"]\n\tlatest = 1 # {{7*7}}\n'


def test_page_shows_policy_and_mistakes(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page says what is in force and since when, and names each mistake by line and key."""
    syncer.told = {"policy": STATE}
    client.get("/ui/")
    page = client.get("/ui/policy").text
    assert "the last good one, because mirror.toml cannot be used" in page
    assert re.search(r"<dt>Age</dt><dd><bdi>files wait 7 days", page)
    row = page[page.index('<th scope="row">6</th>') :]
    assert "<bdi>mirror.latest</bdi>" in row
    assert "&lt;b&gt;wrong&lt;/b&gt;" in row
    assert "&lt;i&gt;contradict" in page
    assert "mirror-syncer check" in page


@pytest.mark.proves("security/tokens-and-secrets")
def test_file_is_shown_to_token_holders_only(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The file's lines may name private projects: the page shows them only to the holder of a token."""
    syncer.policy = PolicyFile(state=STATE, text='[mirror]\nprojects = ["our-secret-project"]\n')
    assert "our-secret-project" not in client.get("/ui/policy").text
    assert "our-secret-project" in client.post("/ui/policy/file", data={"token": TOKEN}).text
    assert client.get("/ui/policy/file").status_code == 404


@pytest.mark.proves("security/upstream")
def test_hostile_policy_is_shown_as_text(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Markup, control and bidi characters of a policy are text on the page; lines and tabs stay, megabytes are cut."""
    syncer.policy = PolicyFile(state=STATE, text=HOSTILE + "x" * 1_000_000)
    for page in (
        client.post("/ui/policy/file", data={"token": TOKEN}).text,
        client.post("/ui/policy/check", data={"token": TOKEN, "text": HOSTILE}).text,
    ):
        assert "&lt;/textarea&gt;&lt;/pre&gt;&lt;script&gt;alert(1)" in page
        assert "\n\tlatest = 1 # {{7*7}}\n" in page
        assert "<script>alert" not in page
        assert "\u202e" not in page
    shown = client.post("/ui/policy/file", data={"token": TOKEN})
    assert len(shown.content) < 120_000
    assert "more characters are not shown" in shown.text


def test_candidate_is_previewed_without_scripts(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A form previews a candidate: what it would change, or each mistake by line and key beside its text."""
    good = client.post("/ui/policy/check", data={"token": TOKEN, "text": '[mirror]\r\nprojects = ["six"]\r\n'})
    assert good.status_code == 200
    assert "valid: scope selected, 30 projects" in good.text
    assert "the deletion guard would withhold 7 removals" in good.text
    assert re.search(r"<textarea[^>]+>\n\[mirror\]\nprojects = \[&#34;six&#34;\]\n</textarea>", good.text)
    bad = client.post("/ui/policy/check", data={"token": TOKEN, "text": "[mirror]\r\nlatest = 0 # <b>"})
    row = bad.text[bad.text.index('<th scope="row">2</th>') :]
    assert "<bdi>mirror.latest</bdi>" in row
    assert "<bdi>latest = 0 # &lt;b&gt;</bdi>" in row
    assert "must be a whole number" in row


def test_large_candidate_is_checked(client: httpx2.Client) -> None:
    """A candidate of half a megabyte is checked; one that is longer than the syncer reads is refused with a page."""
    large = "# " + "x" * 500_000
    assert client.post("/ui/policy/check", data={"token": TOKEN, "text": large}).status_code == 200
    refused = client.post("/ui/policy/check", data={"token": TOKEN, "text": large * 3})
    assert (refused.status_code, refused.headers["content-type"]) == (413, "text/html; charset=utf-8")


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("begin", ["token=wrong&text=", "text="])
def test_long_form_is_not_read_without_a_token_in_front(client: httpx2.Client, begin: str) -> None:
    """A long form whose first field is no valid token is refused before the rest of it has come."""
    address = urlsplit(str(client.base_url))
    assert address.hostname is not None
    sent = begin.encode() + b"x" * 20_000
    head = (
        f"POST /ui/policy/check HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 900000\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
        connection.sendall(head.encode() + sent)
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_last_known_policy_stays(client: httpx2.Client, syncer: FakeSyncer, background: Background) -> None:
    """While the syncer is away, the last known policy stays, with its age."""
    syncer.told = {"policy": STATE, "as_of": datetime.now(UTC) - timedelta(minutes=7)}
    client.get("/ui/")
    background.run(syncer.stop())
    client.get("/ui/")
    page = client.get("/ui/policy")
    assert page.status_code == 200
    assert re.search("This is what was known <time[^>]+>7 min ago", page.text)
    assert "files wait 7 days" in page.text


def test_unknown_policy_is_said(serve: Serve, syncer: FakeSyncer, background: Background) -> None:
    """If the syncer has never answered, the page says so, and can still be read."""
    background.run(syncer.stop())
    with serve() as client:
        assert "The policy is not known yet" in client.get("/ui/policy").text
