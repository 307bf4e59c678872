"""The pages of held files and of releases, and the forms that release a version and end its release."""

import re
from datetime import datetime, timedelta

import httpx2
import pytest
from structlog.testing import capture_logs

from control.conftest import TOKEN
from control.fake_syncer import NOW, FakeSyncer, held_project
from mirror_contract import Choice, HeldFile, ProjectFile, Release
from mirror_control.access.rights import Right
from mirror_control.settings import Settings

HOSTILE = "<script>alert(1)</script>\u202egnp.exe"
RELEASE = {"do": "release", "requirement": "Six==2.0", "because": "CVE-2026-1 <b>", "for": "3d"}


def send(client: httpx2.Client, path: str = "/ui/actions", *, token: str = TOKEN, **fields: str) -> httpx2.Response:
    """Send a form as a browser does."""
    return client.post(path, data={"token": token, **fields})


def in_force(syncer: FakeSyncer, *, because: str = "CVE-2026-1") -> None:
    """Let a person have released six 2.0."""
    syncer.releases["9f1c2d3e"] = Release(
        id="9f1c2d3e", requirement="six==2.0", project="six", because=because, by="ann", made_at=NOW, until=NOW
    )


def test_held_files_are_listed(client: httpx2.Client) -> None:
    """The page of held files has project, time and reason of each, a filter, and a next page."""
    page = client.get("/ui/held").text
    blocked = client.get("/ui/held?decision=block&project=SIX").text
    none = client.get("/ui/held?project=idna").text
    assert re.search(r"six-2.0.tar.gz.+?in 5 d</time>", page, re.DOTALL)
    assert "&lt;b&gt;mal\N{REPLACEMENT CHARACTER}[2Jware&lt;/b&gt;" in page
    assert ("six-2.0.tar.gz" in blocked, "six-1.0.tar.gz" in blocked) == (False, True)
    assert '<option value="block" selected>' in blocked
    assert "No file of <a " in none
    assert client.get("/ui/held?project=/etc/x").status_code == 422


def test_wheels_of_a_version_are_one_row(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheels of a version wait until different minutes, and are one row that names all of them; others are not."""
    noon = NOW.replace(hour=12, minute=0) + timedelta(days=6)

    def wheel(number: int, until: datetime | None, version: str = "2.5.4") -> HeldFile:
        name = f"numpy-{version}-{number}-py3-none-any.whl"
        return HeldFile(project="numpy", filename=name, decision=Choice.HOLD, reason=f"until {until}", until=until)

    files = [wheel(number, noon + timedelta(minutes=number)) for number in range(70)]
    files += [wheel(70, noon + timedelta(days=3)), wheel(71, noon, version="2.5.5"), wheel(72, None)]
    monkeypatch.setattr("control.fake_syncer.HELD", files)
    page = client.get("/ui/held").text
    rows = re.findall(r"<tr>.+?</tr>", page.partition("<tbody>")[2], re.DOTALL)
    assert [row.count("<bdi>numpy-") for row in rows] == [70, 1, 1, 1]
    assert ["value=" in row for row in rows] == [True, False, True, False], "a version is offered once"
    assert "and 69 more" in rows[0]


def test_long_list_of_held_files_has_a_next_page(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list of held files continues on further pages with the same filters."""
    monkeypatch.setattr("mirror_control.ui.held_pages._PAGE_SIZE", 1)
    first = client.get("/ui/held?project=six").text
    link = re.search(r'href="\.\.(/ui/held[^"]+)">Next page', first)
    assert link
    assert "six-1.0.tar.gz" in client.get(link[1].replace("&amp;", "&")).text


def test_waiting_version_has_a_form_that_releases_it(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Held files and their project's page offer to release each version that waits, once, and no blocked one."""
    syncer.projects["six"] = held_project()
    for path in ("/ui/held", "/ui/projects/six"):
        page = client.get(path).text
        assert re.findall(r'"do" value="release"><input type="hidden" name="requirement" value="([^"]+)"', page) == [
            "six==2.0"
        ]
        form = next(form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if 'value="release"' in form)
        assert "data-call" not in form, "it asks first, also with scripts"


@pytest.mark.parametrize("version", [None, "", "<b>", "1.0 ; x", "1" * 300, "9" * 5_000])
def test_odd_version_has_no_form(client: httpx2.Client, syncer: FakeSyncer, version: str | None) -> None:
    """A held file without a version that PEP 440 reads, or with a very long one, is shown without a form."""
    file = ProjectFile(filename="six.zip", version=version, decision=Choice.HOLD, reason="young")
    syncer.projects["six"] = held_project().model_copy(update={"files": [file]})
    page = client.get("/ui/projects/six")
    assert (page.status_code, "young" in page.text, 'value="release"' in page.text) == (200, True, False)


def test_release_asks_for_reason_and_duration(client: httpx2.Client) -> None:
    """The form says in words what a release does, which right it needs, and the same as a command."""
    page = client.get("/ui/confirm?do=release&requirement=Six==2.0").text
    assert "It publishes six==2.0 now" in page
    assert "right <code>remove</code>" in page
    assert re.findall(r'<input id="(\w+)" name="\1" value="([^"]*)" required maxlength="(\d+)"', page) == [
        ("because", "", "300"),
        ("for", "14d", "5"),
    ]
    assert "mirrorctl release &#39;six==2.0&#39; --because &#39;REASON&#39; --for 14d" in page


def test_form_releases_a_version(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The form releases a version; its answer has the warnings and the run, and the audit has who, what and why."""
    with capture_logs() as logs:
        answer = send(client, **RELEASE)
        client.get("/ui/use")  # the line is written right after the answer
    (release,) = syncer.releases.values()
    assert (release.requirement, release.because) == ("six==2.0", "CVE-2026-1 <b>")
    assert (release.until - release.made_at).days == 3
    assert "six==2.0 is released until" in answer.text
    assert "six-1.0.exe stays unpublished \N{REPLACEMENT CHARACTER}[2J" in answer.text
    (run,) = syncer.runs
    assert f"/ui/runs/{run}" in answer.text
    (audit,) = (one for one in logs if one["event"] == "audit")
    assert (audit["call"], audit["right"], audit["run"]) == ("POST /api/v1/releases", Right.REMOVE, run)
    assert audit["release"] == "six==2.0 for 3d: CVE-2026-1 <b>"


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({"because": " "}, 422, "because: must say why"),
        ({"because": "a\nb"}, 422, "because: must be one line"),
        ({"for": "91d"}, 422, "for: must be a number with h, d or w"),
        ({"for": ""}, 422, "for: must be a number with h, d or w"),
        ({"requirement": "six>=2"}, 422, "requirement: must name exactly one version"),
        ({"requirement": HOSTILE}, 422, "requirement: must be one version of a project"),
        ({"requirement": "evil==1"}, 409, "a block beats every release"),
    ],
)
def test_refused_release_says_why(
    client: httpx2.Client, syncer: FakeSyncer, fields: dict[str, str], status: int, told: str
) -> None:
    """A release that cannot be has a page that says why, and changes nothing."""
    answer = send(client, **RELEASE | fields)
    assert (answer.status_code, told in answer.text) == (status, True)
    assert "<script>" not in answer.text.partition("<main")[2]
    assert not syncer.releases


@pytest.mark.proves("security/upstream")
def test_releases_in_force_are_listed(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """With a token, the page lists the releases in force with who, until when and why, and a form that ends each."""
    assert "None." in send(client, "/ui/releases").text
    in_force(syncer, because=HOSTILE)
    page = send(client, "/ui/releases").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\N{REPLACEMENT CHARACTER}gnp.exe" in page
    assert "<bdi>ann</bdi>" in page
    assert '"do" value="end-release"' in page


def test_form_ends_a_release(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The form says what the end of a release does, and ends it; the audit names the release and its call."""
    in_force(syncer)
    assert (
        "The cooldown applies to six==2.0 again" in client.get("/ui/confirm?do=end-release&requirement=six==2.0").text
    )
    with capture_logs() as logs:
        answer = send(client, do="end-release", requirement="six==2.0")
        client.get("/ui/use")  # the line is written right after the answer
    assert "The release of six==2.0 is ended" in answer.text
    assert not syncer.releases
    (audit,) = (one for one in logs if one["event"] == "audit")
    assert (audit["call"], audit["release"]) == ("DELETE /api/v1/releases/9f1c2d3e", "six==2.0")
    again = send(client, do="end-release", requirement="six==2.0")
    assert (again.status_code, "No release of six==2.0 is in force" in again.text) == (404, True)


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize("name", ["release", "end-release"])
def test_release_needs_the_right_remove(
    client: httpx2.Client, syncer: FakeSyncer, settings: Settings, name: str
) -> None:
    """A token that may start runs may neither release a version nor end a release, and the page says so."""
    in_force(syncer)
    for right in (Right.READ, Right.TRIGGER):
        token = settings.tokens.named.create(f"the-{right}", right)
        answer = send(client, token=token, **RELEASE | {"do": name})
        assert answer.status_code == 403
    assert "needs &#39;remove&#39;" in answer.text
    assert list(syncer.releases) == ["9f1c2d3e"]
    assert syncer.runs == {}
