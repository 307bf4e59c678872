"""The forms of the project pages: each action works without scripts, with a token that has the right."""

import re
from urllib.parse import urlencode

import httpx2
import pytest
from structlog.testing import capture_logs

from control.conftest import TOKEN
from control.fake_syncer import NOW, FakeSyncer
from mirror_contract import AddedLine
from mirror_control.access.form_token import MAX_FORM_BYTES
from mirror_control.access.rights import Right
from mirror_control.settings import Settings

HOSTILE = "<script>alert(1)</script>\u202egnp.exe"
FORMS = {
    "/ui/projects": Right.TRIGGER,
    "/ui/releases": Right.READ,
    "/ui/selection": Right.READ,
    "/ui/misses": Right.READ,
}
IDNA = {"line": "idna>=3", "because": "the shop's <b>backend</b>"}


def send(client: httpx2.Client, path: str, *, token: str = TOKEN, **fields: str) -> httpx2.Response:
    """Send a form as a browser does."""
    return client.post(path, data={"token": token, **fields})


def added(syncer: FakeSyncer, because: str = "the shop's backend") -> None:
    """Let a person have added a line for six."""
    syncer.added["six"] = AddedLine(line="six>=1", project="six", because=because, by="ann", made_at=NOW)
    syncer.projects["six"] = syncer.projects["six"].model_copy(update={"added_line": "six>=1"})


def test_form_adds_a_line(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A form adds a line with its reason, and its answer has the warnings and a link to the run."""
    with capture_logs() as logs:
        answer = send(client, "/ui/projects", **IDNA)
        client.get("/ui/use")  # the line is written right after the answer
    assert answer.status_code == 200
    assert "idna is added" in answer.text
    assert "upstream is away \N{REPLACEMENT CHARACTER}[2J" in answer.text
    (run,) = syncer.runs
    assert f"/ui/runs/{run}" in answer.text
    assert (syncer.added["idna"].line, syncer.added["idna"].because) == ("idna>=3", IDNA["because"])
    (audit,) = (one for one in logs if one["event"] == "audit")
    assert (audit["call"], audit["run"], audit["status"]) == ("POST /ui/projects", run, 200)
    assert TOKEN not in str(logs)


def test_form_removes_an_added_line(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page of a project with an added line says what its removal does, and its form removes the line."""
    assert "Remove the line" not in client.get("/ui/projects/six").text
    added(syncer)
    page = client.get("/ui/projects/six").text
    assert "<code><bdi>six&gt;=1</bdi></code> was added beside" in page
    assert "the next sync removes the project" in page
    asked = client.get("/ui/confirm?do=remove-line&project=six").text
    assert '"do" value="remove-line"' in page
    assert "The next sync removes six and what only it needs" in asked
    assert syncer.added, "a question changes nothing"
    with capture_logs() as logs:
        answer = send(client, "/ui/actions", do="remove-line", project="six")
        client.get("/ui/use")  # the line is written right after the answer
    assert "The line of six is removed" in answer.text
    assert not syncer.added
    (audit,) = (one for one in logs if one["event"] == "audit")
    assert (audit["call"], audit["line"]) == ("DELETE /api/v1/projects/six", "six>=1")


def test_project_page_offers_a_sync(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page of a project has the form that syncs it; with scripts, it starts at once."""
    page = client.get("/ui/projects/six").text
    form = next(form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if 'value="sync"' in form)
    assert ">Sync now<" in form
    assert 'data-call="POST /runs"' in form
    answer = send(client, "/ui/actions", do="sync", project="six")
    assert (answer.status_code, [run.request.projects for run in syncer.runs.values()]) == (303, [("six",)])


@pytest.mark.proves("security/upstream")
def test_lines_are_listed_with_who_when_and_why(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """With a token, the page lists the lines of the file and the added ones, each of these with a form to remove it."""
    added(syncer, because=HOSTILE)
    page = send(client, "/ui/selection").text
    assert page.index("sys_platform") < page.index("six&gt;=1")
    row = page.partition("six&gt;=1")[2].partition("</tr>")[0]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\N{REPLACEMENT CHARACTER}gnp.exe" in row
    assert "<bdi>ann</bdi>" in row
    assert '"do" value="remove-line"' in row
    assert page.count("Remove the line") == 1


def test_long_list_of_lines_has_a_next_page(
    client: httpx2.Client, syncer: FakeSyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long list of lines continues on further pages."""
    monkeypatch.setattr("mirror_control.ui.project_forms._PAGE_SIZE", 1)
    added(syncer)
    after = re.search(r'name="after" value="([^"]+)"', send(client, "/ui/selection").text)
    assert after
    assert "sys_platform" in send(client, "/ui/selection", after=after[1]).text


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize("path", FORMS)
def test_form_needs_a_token_with_its_right(
    client: httpx2.Client, syncer: FakeSyncer, settings: Settings, path: str
) -> None:
    """A form without a token, with a wrong one, or one of too few rights changes nothing and says what it needs."""
    added(syncer)
    order, needed = list(Right), FORMS[path]
    answers = [client.post(path, data=IDNA), send(client, path, token="wrong", **IDNA)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert "needs the mirror&#39;s token" in answers[0].text
    assert "This token is invalid" in answers[1].text
    for right in order[: order.index(needed)]:
        token = settings.tokens.named.create(f"the-{right}", right)
        answer = send(client, path, token=token, **IDNA)
        assert answer.status_code == 403
        assert f"this call needs &#39;{needed}&#39;" in answer.text
        answers.append(answer)
    for answer in answers:
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert (list(syncer.added), syncer.runs) == (["six"], {})


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 200),
        ({"Host": "mirror.test", "X-Forwarded-Host": "mirror.test:8080", "Origin": "http://mirror.test:8080"}, 200),
        ({"Host": "mirror.test", "X-Forwarded-Host": "mirror.test:8080", "Origin": "http://mirror.test:9090"}, 403),
    ],
)
def test_form_of_another_site_is_refused(
    client: httpx2.Client, syncer: FakeSyncer, headers: dict[str, str], status: int
) -> None:
    """A form that a page of another site sent is refused, even with a valid token."""
    answer = client.post("/ui/projects", data={"token": TOKEN, **IDNA}, headers=headers)
    assert answer.status_code == status
    assert ("idna" in syncer.added) == (status == 200)
    assert ("sent by a page of another site" in answer.text) == (status == 403)


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"x" * (MAX_FORM_BYTES + 1), "application/x-www-form-urlencoded", 413),
        (b"a=1&" * 100, "application/x-www-form-urlencoded", 422),
        (b"line=\xff", "application/x-www-form-urlencoded", 422),
        (b'{"line": "idna"}', "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    ],
)
def test_odd_form_is_refused(client: httpx2.Client, content: bytes, media_type: str, status: int) -> None:
    """A form that is too long, has too many fields, or is none, is refused with a page."""
    answer = client.post("/ui/projects", content=content, headers={"Content-Type": media_type})
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({"line": "idna", "because": " "}, 422, "because: must say why"),
        ({"because": "x"}, 422, "line: must not be empty"),
        ({"line": "evil", "because": "x"}, 409, "evil is blocked in mirror.toml: malware"),
    ],
)
def test_refused_line_says_why(client: httpx2.Client, fields: dict[str, str], status: int, told: str) -> None:
    """A line that can't be added has a page that says why."""
    answer = send(client, "/ui/projects", **fields)
    assert (answer.status_code, told in answer.text) == (status, True)


def test_password_of_a_browser_is_no_token(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """On a mirror with a password, the browser also sends that; the token of the form counts."""
    answer = client.post("/ui/projects", data={"token": TOKEN, **IDNA}, auth=("ann", "secret"))
    assert (answer.status_code, "idna" in syncer.added) == (200, True)
    assert client.post("/ui/projects", data=IDNA, auth=("ann", "secret")).status_code == 401


def test_token_is_taken_from_the_form_alone(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A token in the URL is ignored, since URLs are logged."""
    assert client.post(f"/ui/projects?{urlencode({'token': TOKEN})}", data=IDNA).status_code == 401
    assert not syncer.added
