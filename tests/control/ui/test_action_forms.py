"""The page's forms: what each action says, which right it needs, and that it works without scripts."""

import re
from html import unescape
from urllib.parse import urlencode

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.conftest import TOKEN
from control.fake_syncer import FakeSyncer
from control.live import Background
from mirror_contract import Counts, Disk, PendingRemoval, Run, RunKind, RunRequest, RunState, Trigger
from mirror_control.access.rights import Right
from mirror_control.settings import Settings
from mirror_control.ui.actions import make_action

ACTIONS = [
    ({"do": "sync"}, Right.TRIGGER, {"kind": "sync"}),
    ({"do": "sync", "project": "Zope.Interface"}, Right.TRIGGER, {"kind": "sync", "projects": ["zope-interface"]}),
    ({"do": "verify"}, Right.TRIGGER, {"kind": "verify"}),
    ({"do": "repair"}, Right.REMOVE, {"kind": "verify", "repair": True}),
    ({"do": "collect"}, Right.REMOVE, {"kind": "collect", "now": True}),
    ({"do": "allow-removals", "number": "51"}, Right.REMOVE, {"kind": "sync", "allow_removals": 51}),
]
WRONG = [
    {},
    {"do": "delete"},
    {"do": "sync", "project": "../etc"},
    {"do": "allow-removals"},
    {"do": "allow-removals", "number": "0"},
    {"do": "allow-removals", "number": "-5"},
    {"do": "allow-removals", "number": "1e9"},
    {"do": "cancel", "run": "../../schedule/pause"},
    {"do": "cancel"},
    {"do": "remove-line", "project": "../schedule"},
    {"do": "release", "requirement": "six"},
    {"do": "end-release", "requirement": "six==1.*"},
]


def queued(syncer: FakeSyncer) -> str:
    """Add a queued run; return its id."""
    syncer.runs["r1"] = Run(
        id="r1",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.SCHEDULE,
        state=RunState.RUNNING,
        created_at="2026-11-22T16:12:33Z",
        started_at="2026-11-22T16:12:33Z",
        counts=Counts(projects_planned=40, projects_done=10),
    )
    return "r1"


@pytest.mark.parametrize(("fields", "right", "wanted"), ACTIONS)
def test_action_says_what_it_does_and_does_it(
    client: httpx2.Client, syncer: FakeSyncer, fields: dict[str, str], right: Right, wanted: dict[str, object]
) -> None:
    """Without scripts, an action's page says what it will do and which right it needs; its form starts the run."""
    page = client.get("/ui/confirm", params=fields)
    assert page.status_code == 200
    assert f"right <code>{right}</code>" in page.text
    assert re.search(r'<p class="lead">It [^<]{40,}\.</p>', page.text)
    sent = {
        unescape(name): unescape(value) for name, value in re.findall(r'hidden" name="(\w+)" value="([^"]*)', page.text)
    }
    action = re.search(r'method="post" action="\.\.(/ui/[a-z]+)"', page.text)
    assert action
    answer = client.post(action[1], data=sent | {"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "runs/20261122T161233-000000")
    (run,) = syncer.runs.values()
    assert run.request == RunRequest.model_validate(wanted)
    assert client.get("/ui/runs/20261122T161233-000000").status_code == 200


@pytest.mark.proves("security/web-pages")
@pytest.mark.parametrize("path", ["/ui/actions", "/ui/policy/check", "/ui/policy/file"])
def test_form_without_a_valid_token_does_nothing(client: httpx2.Client, syncer: FakeSyncer, path: str) -> None:
    """A form without a token, or with a wrong one, is refused with a page, and the syncer is not asked to act."""
    for token in ("", "wrong", f"{TOKEN}\r\nX: y"):
        answer = client.post(path, data={"do": "sync", "text": "[mirror]", "token": token})
        assert answer.status_code == 401
        assert answer.headers["content-type"].startswith("text/html")
        assert "mirrorctl token" in answer.text
    assert not [seen for seen in syncer.seen if seen.method == "POST" or seen.path == "/policy"]


@pytest.mark.proves("security/web-pages")
@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_form_of_a_stranger_is_refused(client: httpx2.Client, syncer: FakeSyncer, headers: dict[str, str]) -> None:
    """A form that a page of another site sends is refused, even with a valid token."""
    for path in ("/ui/actions", "/ui/policy/check", "/ui/policy/file"):
        answer = client.post(path, data={"do": "sync", "text": "", "token": TOKEN}, headers=headers)
        assert answer.status_code == 403
        assert "another site" in answer.text
    assert syncer.runs == {}


@pytest.mark.proves("security/tokens-and-secrets")
def test_refusal_names_the_wanted_right(client: httpx2.Client, settings: Settings, syncer: FakeSyncer) -> None:
    """With a token of too few rights, the page says which right is wanted and how to get it, and nothing happens."""
    token = settings.tokens.named.create("ci", Right.TRIGGER)
    for fields, right, _ in ACTIONS:
        answer = client.post("/ui/actions", data=fields | {"token": token})
        if right is Right.REMOVE:
            assert answer.status_code == 403
            assert "needs &#39;remove&#39;" in answer.text
            assert "mirrorctl token create NAME --right remove" in answer.text
        else:
            assert answer.status_code == 303
    assert not [run for run in syncer.runs.values() if run.request.repair or run.request.allow_removals]
    reader = settings.tokens.named.create("reader", Right.READ)
    assert "needs &#39;trigger&#39;" in client.post("/ui/actions", data={"do": "sync", "token": reader}).text


def test_run_is_cancelled_and_schedule_changed_by_forms(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A running run is cancelled, and the schedule paused and resumed, by forms."""
    run = queued(syncer)
    page = client.get("/ui/").text
    assert f'<input type="hidden" name="run" value="{run}">' in page
    assert (
        client.post("/ui/actions", data={"do": "cancel", "run": run, "token": TOKEN}).headers["location"] == "runs/r1"
    )
    assert syncer.runs[run].state is RunState.CANCELLED
    again = client.post("/ui/actions", data={"do": "cancel", "run": run, "token": TOKEN})
    assert (again.status_code, "has ended" in again.text) == (409, True)
    for change, paused in (("pause", True), ("resume", False)):
        answer = client.post("/ui/actions", data={"do": change, "token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        assert syncer.schedule.paused is paused
        assert (">Resume the schedule<" in client.get("/ui/").text) is paused


@pytest.mark.parametrize("fields", WRONG)
def test_unknown_action_is_refused(client: httpx2.Client, syncer: FakeSyncer, fields: dict[str, str]) -> None:
    """An action that does not exist, or with a wrong field, is a 422 with a page, and nothing happens."""
    asked = client.get(f"/ui/confirm?{urlencode(fields)}")
    sent = client.post("/ui/actions", data=fields | {"token": TOKEN})
    for answer in (asked, sent):
        assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert [seen.path for seen in syncer.seen if seen.method == "POST"] == []


def test_syncer_away_is_said(client: httpx2.Client, syncer: FakeSyncer, background: Background) -> None:
    """If the syncer does not answer, the form's answer is a page that says so."""
    background.run(syncer.stop())
    answer = client.post("/ui/actions", data={"do": "sync", "token": TOKEN})
    assert (answer.status_code, "The syncer does not answer" in answer.text) == (503, True)


@pytest.mark.parametrize(
    ("told", "offered"),
    [
        ({"schedule": {"cron": "0 3 * * *", "paused": True}}, "resume"),
        ({"damaged_files": 3}, "repair"),
        (
            {
                "disk": Disk(size_bytes=10**12, free_bytes=5 * 10**10),
                "pending_removal": PendingRemoval(
                    files=3, bytes=10**9, first_at="2026-11-22T16:12:33Z", last_at="2026-11-23T16:12:33Z"
                ),
                "problems": [],
            },
            "collect",
        ),
    ],
)
def test_issue_offers_its_remedy(
    client: httpx2.Client, syncer: FakeSyncer, told: dict[str, object], offered: str
) -> None:
    """An issue has a button for its remedy, beside the command with a button that copies it."""
    syncer.told = told | (
        {"schedule": syncer.schedule.model_copy(update={"paused": True})} if "schedule" in told else {}
    )
    page = client.get("/ui/").text
    assert f'<input type="hidden" name="do" value="{offered}">' in page
    assert re.search(r"<code>docker compose exec control mirrorctl [^<]+</code> <button[^>]+data-copy=\"\"", page)


def test_withheld_removals_are_allowed_by_number(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The issue of withheld removals offers to allow exactly as many as there are; scripts do not skip the question."""
    run = syncer.runs[queued(syncer)].model_copy(
        update={"state": RunState.INCOMPLETE, "counts": Counts(projects_withheld=51)}
    )
    syncer.runs.clear()
    syncer.told = {"last_run": run}
    page = client.get("/ui/").text
    form = next(form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if "allow-removals" in form)
    assert 'value="51"' in form
    assert "Allow 51 removals" in form
    assert "data-call" not in form


@pytest.mark.proves("security/upstream")
def test_removals_are_named_before_they_are_allowed(
    client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """The page that allows removals names the projects that would leave, with their files, and counts all others."""
    names = ["six", "zope-interface", "gone", *(f"p{number}" for number in range(97))]
    run = syncer.runs[queued(syncer)].model_copy(
        update={"state": RunState.INCOMPLETE, "counts": Counts(projects_withheld=700), "withheld": names}
    )
    syncer.told = {"last_run": run}
    client.get("/ui/")
    page = client.get("/ui/confirm?do=allow-removals&number=700").text
    table = page.partition("What the last sync withheld")[2].partition("</section>")[0]
    assert re.findall(r'/ui/projects/([^"]+)"', table) == names[:50]
    row = table.partition(">six</a>")[2].partition("</tr>")[0]
    assert (">1</td>" in row, "11.1 kB" in row) == (True, True)
    assert "upstream sends [red]\N{REPLACEMENT CHARACTER}[2J 500" in table
    assert "650 more projects:" in table
    background.run(syncer.stop())
    away = client.get("/ui/confirm?do=allow-removals&number=700").text
    assert re.findall(r'/ui/projects/([^"]+)"', away.partition("What the last sync withheld")[2])[:50] == names[:50]


@pytest.mark.proves("security/web-pages")
@given(st.dictionaries(st.sampled_from(["do", "project", "number", "run", "requirement"]), st.text(max_size=30)))
def test_any_fields_are_an_action_or_refused(fields: dict[str, str]) -> None:
    """Whatever a form sends, it is one of the known actions, on a path of the API that no field can change."""
    try:
        action = make_action(fields)
    except ValueError:
        return
    known = r"/runs(/[0-9A-Za-z-]+/cancel)?|/schedule/(pause|resume)|/projects/[a-z0-9-]+|/releases"
    assert re.fullmatch(known, action.path)


@pytest.mark.proves("security/tokens-and-secrets")
def test_audit_says_what_a_form_did(
    client: httpx2.Client, syncer: FakeSyncer, caplog: pytest.LogCaptureFixture
) -> None:
    """The audit has the call of the API that a form stands for, and the run that it names, also if it is refused."""
    forms = (
        {"do": "pause"},
        {"do": "resume"},
        {"do": "cancel", "run": queued(syncer)},
        {"do": "cancel", "run": "r404"},
    )
    with caplog.at_level("INFO", logger="mirror_control.access.audit"):
        for fields in forms:
            client.post("/ui/actions", data={**fields, "token": TOKEN})
        client.get("/ui/policy")  # the line is written right after the answer
    assert re.findall(r"call='([^']+)'.*? run=(\S+)", caplog.text) == [
        ("POST /api/v1/schedule/pause", "None"),
        ("POST /api/v1/schedule/resume", "None"),
        ("POST /api/v1/runs/r1/cancel", "'r1'"),
        ("POST /api/v1/runs/r404/cancel", "'r404'"),
    ]


@pytest.mark.proves("security/clients")
def test_link_of_another_site_leads_to_no_form(client: httpx2.Client) -> None:
    """A page to which another site led says what the action would do, and has no form for it."""
    fields = {"do": "allow-removals", "number": "999999999"}
    foreign = client.get("/ui/confirm", params=fields, headers={"Sec-Fetch-Site": "cross-site"}).text
    own = client.get("/ui/confirm", params=fields, headers={"Sec-Fetch-Site": "same-origin"}).text
    assert "lets up to 999,999,999 projects leave" in foreign
    assert 'action="../ui/actions"' in own
    assert 'action="../ui/actions"' not in foreign
