"""The page as it is sent: what it says, to whom, and what a browser may do with it. tests/page looks at it in one."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest

from control.conftest import Serve
from control.fake_syncer import FakeSyncer, half_dated_project, judged_project
from control.live import Background
from mirror_contract import (
    Counts,
    Disk,
    PendingRemoval,
    PolicyState,
    Project,
    ProjectFile,
    ProjectState,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Schedule,
    Status,
    Trigger,
)
from mirror_control.api.address import Address
from mirror_control.client.concerns import Level
from mirror_control.client.verdict import judge

NOW = datetime.now(UTC)
PAGES = ("/ui/", "/ui/projects", "/ui/projects/six", "/ui/projects/absent", "/ui/downloads", "/ui/use", "/ui/nothing")


def run(state: RunState = RunState.SUCCEEDED, **other: Any) -> Run:
    """Return a sync of the whole mirror that ended a quarter of an hour ago."""
    begin = NOW - timedelta(minutes=20)
    fields = {
        "id": "20261122T161233-3fa9c1",
        "request": RunRequest(kind=RunKind.SYNC),
        "trigger": Trigger.SCHEDULE,
        "state": state,
        "created_at": begin,
        "started_at": begin,
        "finished_at": begin + timedelta(minutes=5),
        "counts": Counts(projects_planned=7, projects_done=7, projects_changed=3),
    }
    return Run.model_validate(fields | other)


def status(**other: Any) -> Status:
    """Return the status of a mirror in good health."""
    fields = {
        "syncer_up": True,
        "as_of": NOW,
        "version": "0.1.0",
        "upstream": "https://pypi.org",
        "scope": "selected",
        "started_at": NOW - timedelta(days=3),
        "schedule": Schedule(cron="*/30 * * * *", next_run_at=NOW + timedelta(minutes=10)),
        "last_run": run(),
        "last_success_at": NOW - timedelta(minutes=15),
        "last_completed_at": NOW - timedelta(minutes=15),
        "projects": {ProjectState.CURRENT: 7},
        "installable": 7,
        "files": 70,
        "stored_bytes": 7_000_000,
        "disk": Disk(size_bytes=10**12, free_bytes=4 * 10**11),
    }
    return Status.model_validate(fields | other)


WEEK_AGO = NOW - timedelta(days=7)
NEVER: dict[str, Any] = {
    "last_run": None,
    "last_success_at": None,
    "last_completed_at": None,
    "files": 0,
    "installable": 0,
    "projects": {},
}
FAILED = {"last_run": run(RunState.FAILED, message="upstream is away"), "failing_since": WEEK_AGO}


def retry(**counts: int) -> Run:
    """Return a full sync that is under way, and was started after those that ended."""
    return run(RunState.RUNNING, id="20261122T163233-3fa9c1", finished_at=None, counts=Counts(**counts))


def test_full_volume_and_what_waits() -> None:
    """On a nearly full volume the remedy tells what still waits for its grace, and how to free it now."""
    waiting = PendingRemoval(files=3, bytes=2 * 10**9, first_at=NOW, last_at=NOW + timedelta(hours=20))
    told = status(disk=Disk(size_bytes=10**12, free_bytes=5 * 10**10), pending_removal=waiting)
    (concern,) = judge(told, now=NOW).concerns
    assert "free 2.0 GB in 20 h at the latest, or now:" in concern.remedy
    assert "mirrorctl collect --now" in concern.remedy


@pytest.mark.proves("reliability/status")
@pytest.mark.parametrize(
    ("level", "title", "told"),
    [
        (Level.GOOD, "Fresh and complete", {}),
        (
            Level.GOOD,
            "Fresh and complete",
            {"scope": "everything", "projects": {"current": 7, "behind": 3, "withdrawn": 2}},
        ),
        (
            Level.GOOD,
            "Fresh; upstream shows older pages of 3 projects",
            {"projects": {"current": 7, "behind": 3, "withdrawn": 2}},
        ),
        (Level.BUSY, "The first sync is under way", NEVER | {"running": [run(RunState.RUNNING, finished_at=None)]}),
        (Level.WARNING, "Nothing has been mirrored yet", NEVER),
        (Level.WARNING, "No sync has run with this catalog yet", NEVER | {"installable": 5, "files": 9}),
        (
            Level.BUSY,
            "The first sync with this catalog is under way",
            NEVER | {"installable": 5, "files": 9, "running": [run(RunState.RUNNING, finished_at=None)]},
        ),
        (
            Level.BUSY,
            "A sync is under way: 3 of 7 projects",
            FAILED | {"running": [retry(projects_planned=7, projects_done=3)]},
        ),
        (Level.ALARM, "The last sync failed", FAILED | {"running": [retry(projects_planned=7)]}),
        (
            Level.ALARM,
            "The last sync failed",
            FAILED | {"running": [retry(projects_planned=7, projects_done=3, projects_failed=3)]},
        ),
        (Level.ALARM, "The syncer does not answer", {"syncer_up": False}),
        (Level.ALARM, "The volume can't be read", {"problems": ["is the disk mounted?"], "disk": None}),
        (Level.ALARM, "The last sync failed", {"last_run": run(RunState.FAILED, message="upstream is away")}),
        (Level.WARNING, "The last sync was cancelled", {"last_run": run(RunState.CANCELLED)}),
        (
            Level.WARNING,
            "No full sync has finished for more than a day",
            {"last_completed_at": WEEK_AGO, "running": [run(RunState.RUNNING, finished_at=None)]},
        ),
        (
            Level.WARNING,
            "51 removals are held back",
            {"last_run": run(RunState.INCOMPLETE, counts=Counts(projects_withheld=51))},
        ),
        (Level.WARNING, "Not up to date: 3 of 10 projects", {"projects": {"current": 7, "failing": 1, "partial": 2}}),
        (Level.WARNING, "A verify found 1 damaged file", {"damaged_files": 1, "damaged_since": WEEK_AGO}),
        (Level.WARNING, "The schedule is paused", {"schedule": Schedule(cron="0 3 * * *", paused=True)}),
        (Level.WARNING, "The volume is 95% full", {"disk": Disk(size_bytes=10**12, free_bytes=5 * 10**10)}),
        (
            Level.WARNING,
            "The volume has room for 12,000 files more",
            {"disk": Disk(size_bytes=10**12, free_bytes=10**12, free_inodes=12_000)},
        ),
        (
            Level.BUSY,
            "A sync has been under way for 3 h",
            {"running": [run(RunState.RUNNING, started_at=NOW - timedelta(hours=3), finished_at=None)]},
        ),
        (
            Level.GOOD,
            "Complete, as upstream was 7 d ago",
            {
                "last_completed_at": WEEK_AGO,
                "schedule": Schedule(cron="0 3 * * 6", next_run_at=NOW + timedelta(hours=2)),
            },
        ),
    ],
)
def test_verdict(level: Level, title: str, told: dict[str, Any]) -> None:
    """The headline says what is wrong, and every concern what still works and what to do."""
    verdict = judge(status(**told), now=NOW)
    assert (verdict.level, verdict.title) == (level, title)
    assert all(concern.works and concern.remedy for concern in verdict.concerns)
    assert not any("`mirrorctl" in concern.remedy for concern in verdict.concerns), "the host has no such command"
    assert verdict.concerns or verdict.sentence


def test_the_gravest_comes_first() -> None:
    """Of several things that are wrong the headline is the one that stops the mirror; the others follow."""
    told = {"projects": {"failing": 2}, "syncer_up": False, "as_of": WEEK_AGO, "problems": ["the disk is full"]}
    verdict = judge(status(**told), now=NOW)
    assert [concern.level for concern in verdict.concerns] == [Level.ALARM, Level.ALARM, Level.WARNING]
    assert (verdict.concerns[0].title, verdict.concerns[0].since) == ("The syncer does not answer", WEEK_AGO)


@pytest.mark.proves("reliability/status")
def test_failed_sync_tells_since_when_syncs_fail() -> None:
    """What counts is when the first sync failed, not when the last one succeeded; a further attempt renews nothing."""
    for completed in (None, WEEK_AGO - timedelta(days=7)):
        told = status(**NEVER | FAILED | {"last_completed_at": completed})
        assert judge(told, now=NOW).concerns[0].since == WEEK_AGO


@pytest.mark.proves("reliability/status")
def test_sync_under_way_hides_no_other_concern() -> None:
    """A sync that mends the last failure is read first, and what a script is told is the gravest thing of all."""
    told = FAILED | {"running": [retry(projects_planned=7, projects_done=3)], "projects": {"current": 6, "failing": 1}}
    verdict = judge(status(**told), now=NOW)
    assert [concern.level for concern in verdict.concerns] == [Level.BUSY, Level.WARNING]
    assert verdict.gravest is Level.WARNING
    assert "The sync before it failed: upstream is away" in (verdict.concerns[0].detail or "")


def test_removals_are_held_back_since_the_first_run_that_did() -> None:
    """Each run holds them back again, so its own time would always be a new one; and it is told how to see them."""
    last = run(RunState.INCOMPLETE, counts=Counts(projects_withheld=51))
    (concern,) = judge(status(last_run=last, withheld_since=WEEK_AGO), now=NOW).concerns
    assert concern.since == WEEK_AGO
    assert "syncer plan` says which they are" in concern.remedy


def test_a_sync_that_has_nothing_done_is_told() -> None:
    """A sync that hears nothing of upstream fails after minutes; until then nobody takes its beginning for progress."""
    hanging = run(RunState.RUNNING, finished_at=None, counts=Counts(projects_planned=129))
    verdict = judge(status(running=[hanging]), now=NOW)
    assert (verdict.level, verdict.title) == (Level.BUSY, "A sync has been under way for 20 min")
    assert "None of 129 is done: does upstream answer?" in verdict.sentence
    moving = run(RunState.RUNNING, finished_at=None, counts=Counts(projects_planned=129, projects_done=1))
    assert judge(status(running=[moving]), now=NOW).level is Level.GOOD


def test_an_upstream_that_is_away_needs_no_more_than_patience() -> None:
    """Where to look for the way out is told, and that a run catches up by itself."""
    (concern,) = judge(status(last_run=run(RunState.FAILED, message="upstream does not answer")), now=NOW).concerns
    for told in ("`HTTPS_PROXY`", "`MIRROR_UPSTREAM`", "catches up by itself", "the next run comes in 10 min"):
        assert told in concern.remedy


def test_projects_fail_since_the_first_of_them_does() -> None:
    """Since when projects fail is when the first of them began to, whatever other syncs did meanwhile."""
    verdict = judge(status(projects={"current": 6, "failing": 1}, amiss_since=WEEK_AGO), now=NOW)
    assert verdict.concerns[0].since == WEEK_AGO


def test_a_full_disk_sends_nobody_to_look_for_upstream() -> None:
    """What stopped the sync is told once, and what to do of it is the same in each thing that is wrong."""
    full = Disk(size_bytes=10**12, free_bytes=10**10)
    told = judge(status(**FAILED | {"problems": ["the disk is full"], "disk": full}), now=NOW)
    assert [concern.title for concern in told.concerns] == ["The volume needs a person", "The last sync failed"]
    assert [concern.since for concern in told.concerns] == [told.concerns[1].since] * 2
    assert "Mend the volume first" in told.concerns[1].remedy


@pytest.mark.proves("reliability/upstream")
def test_upstream_without_news_is_not_fresh() -> None:
    """Of many projects an upstream that answers and has no news for six hours is a warning; of few it is quiet."""
    told = {"upstream_news_at": NOW - timedelta(days=3)}
    many = judge(status(projects={"current": 900_000}, **told), now=NOW)
    few = judge(status(**told), now=NOW)
    lively = judge(status(projects={"current": 900_000}, upstream_news_at=NOW - timedelta(hours=1)), now=NOW)

    assert (many.level, many.title) == (Level.WARNING, "Upstream answers, but has had no news for too long")
    assert many.concerns[0].since == told["upstream_news_at"]
    assert (few.level, lively.level) == (Level.GOOD, Level.GOOD)


def test_policy_that_cannot_be_used_is_a_concern(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page says with line and key why mirror.toml is not in force, since when, and what stays in force."""
    problem = {"line": 6, "key": "mirror.latest", "message": "mirror.latest = 0: must be a whole number <b>"}
    state = PolicyState.model_validate(
        {"file": "/etc/pypi-mirror/mirror.toml", "problems": [problem], "invalid_since": WEEK_AGO}
    )
    told = judge(status(policy=state), now=NOW)
    assert (told.level, told.title) == (Level.WARNING, "mirror.toml cannot be used")
    assert told.concerns[0].detail == "line 6: mirror.latest = 0: must be a whole number <b>"
    assert told.concerns[0].since == WEEK_AGO
    syncer.told = {"policy": state}
    shown = client.get("/ui/").raise_for_status().text
    assert "line 6: mirror.latest = 0: must be a whole number &lt;b&gt;" in shown
    assert "the last good one, since mirror.toml cannot be used" in shown


def test_starter_selection_is_named_as_such(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """While there is no mirror.toml the page says that the example is in force, and how to choose; it is no concern."""
    state = PolicyState(file="/etc/pypi-mirror/mirror.example.toml", starter=True)
    assert judge(status(policy=state), now=NOW).level is Level.GOOD
    syncer.told = {"policy": state}
    assert "cp config/mirror.example.toml config/mirror.toml" in client.get("/ui/").raise_for_status().text


def test_last_news_and_a_changed_upstream_are_shown(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page says when upstream last had news, and which one was mirrored before."""
    syncer.told = {"upstream_news_at": WEEK_AGO, "upstream_before": "https://old.example.org"}
    shown = client.get("/ui/").raise_for_status().text

    assert "Upstream’s last news" in shown
    assert "before https://old.example.org" in shown


def test_all_that_the_guard_keeps_are_one_click_away(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Of many that are behind, which the first twenty are shown of, a link leads to all; of few there is none."""
    syncer.projects["six"] = syncer.projects["six"].model_copy(update={"state": ProjectState.BEHIND})
    syncer.told = {"failing": [syncer.projects["six"]], "projects": {ProjectState.BEHIND: 70}}
    assert ">All that are behind</a>" in client.get("/ui/").text
    syncer.told = {"failing": [syncer.projects["six"]], "projects": {ProjectState.BEHIND: 1}}
    assert "that are behind</a>" not in client.get("/ui/").text


def test_nothing_comes_by_itself_while_the_syncer_is_away() -> None:
    """No next run is announced that nobody would start."""
    told = judge(status(syncer_up=False, last_run=run(RunState.FAILED)), now=NOW)
    assert not any("By itself" in concern.remedy for concern in told.concerns)


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("path", PAGES)
def test_a_browser_may_run_our_scripts_alone(client: httpx2.Client, path: str) -> None:
    """Each page has a strict policy, and holds nothing that it forbids: no inline script or style, no other host."""
    answer = client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert not re.search(
        r"<style|<script(?![^>]* src=\"[./]+/ui/static/)|\sstyle=|\son\w+=|(?:src|href)=\"(?:https?:)?//", answer.text
    )
    assert "Set-Cookie" not in answer.headers


@pytest.mark.proves("reliability/upstream")
def test_project_tells_which_files_have_no_upload_time(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project's page says how many files have no upload time, what that means to clients, and which they are."""
    syncer.projects["six"] = half_dated_project()
    page = client.get("/ui/projects/six").text
    assert "1 files: pip --uploaded-prior-to refuses the project" in page
    undated = page.partition("six-1.0.tar.gz")[2]
    assert "unknown" in undated.partition("</tr>")[0]
    assert "unknown" not in page.partition("six-2.0.tar.gz")[2].partition("</tr>")[0]


def test_project_shows_the_decision_about_every_file(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project's page shows what is decided about each file and why, also of files that are not published."""
    syncer.projects["six"] = judged_project()
    page = client.get("/ui/projects/six").text
    published, _, others = page.partition("Files that are not published")
    rows = {
        name: row.partition("</tr>")[0]
        for name in ("six-0.9", "six-1.0")
        for row in published.split("<tr>")
        if name in row
    }
    assert "lost: <bdi>upstream took it</bdi>" in rows["six-0.9"]
    assert "mirror.toml selects it" in rows["six-1.0"]
    assert "six-2.0.tar.gz" not in published
    assert "its version does not match &lt;b&gt;" in others
    assert "drop" in others


def test_project_with_more_files_than_are_told_says_how_many(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Of a project whose answer holds a part of its files, the page says how many more its index page has."""
    syncer.projects["six"] = half_dated_project().model_copy(update={"file_count": 100_000})
    assert "99,998 older ones are on" in client.get("/ui/projects/six").text


def test_what_it_needs_is_here_for_good(client: httpx2.Client) -> None:
    """Style and scripts come from here, by an address that changes with their content; any other is not there."""
    page = client.get("/ui/").text
    assets = set(re.findall(r'(?:src|href)="\.\.(/ui/static/[^"]+)"', page))
    assert {url.rpartition("/")[2] for url in assets} >= {"style.css", "page.js", "icon.svg"}
    for url in assets:
        answer = client.get(url)
        assert (answer.status_code, "immutable" in answer.headers["Cache-Control"]) == (200, True), url
        assert client.get(re.sub("static/[^/]+", "static/0", url)).status_code == 404
    assert client.get("/ui/static/x/..%2Fdocs.html").status_code == 404


HOSTILE = "<script>alert(1)</script>\u202egnp.exe\x1b]0;owned\x07\u2066{{7*7}}`rm`\"'"


@pytest.mark.proves("security/upstream")
def test_upstreams_words_do_nothing(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Markup in upstream's words is text, and what turns a line around or steers a terminal is shown as a �."""
    syncer.projects["six"] = Project(
        name="six",
        state=ProjectState.FAILING,
        error=HOSTILE,
        selected=HOSTILE,
        files=[ProjectFile(filename=HOSTILE, url=f"packages/ab/{HOSTILE}", sha256=HOSTILE)],
    )
    syncer.told = {"failing": [syncer.projects["six"]], "problems": [HOSTILE], "upstream": HOSTILE, "version": HOSTILE}
    syncer.runs["r1"] = run(RunState.FAILED, id="r1", message=HOSTILE, failures=[{"file": HOSTILE, "reason": HOSTILE}])
    for path in ("/ui/", "/ui/projects", "/ui/projects/six", "/ui/runs/r1"):
        text = client.get(path).text
        assert "&lt;script&gt;alert(1)" in text, path
        assert "{{7*7}}" in text, path
        for evil in ("<script>alert", "\u202e", "\u2066", "\x1b", "\x07"):
            assert evil not in text, (path, evil)


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "%00", "ⅸ", "a" * 300, "-x"])
def test_what_is_no_name_is_said_to_be_none(client: httpx2.Client, name: str) -> None:
    """A project page of no project answers 404, as a page."""
    answer = client.get(f"/ui/projects/{name}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_search_takes_names_as_people_write_them(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """What is looked for is normalized as names are; a state that is none counts as any."""
    page = client.get("/ui/projects", params={"q": " Zope.Inter", "state": "purple"}).text
    assert "/ui/projects/zope-interface" in page
    assert "/ui/projects/six" not in page
    assert syncer.seen[-1].query == [("limit", "100"), ("q", "zope-inter")]


def test_syncer_away(client: httpx2.Client, syncer: FakeSyncer, background: Background) -> None:
    """With the syncer away the page shows all that is last known, history included, and says so first."""
    syncer.runs["r1"] = run(id="r1")
    syncer.told = {"last_run": syncer.runs["r1"], "as_of": datetime.now(UTC) - timedelta(minutes=3)}
    assert "/ui/runs/r1" in client.get("/ui/").text
    background.run(syncer.stop())

    answer = client.get("/ui/")
    assert answer.status_code == 200
    headline = re.sub(r"<[^>]+>", "", answer.text[answer.text.index("<h1>") : answer.text.index("</header>")])
    for said in ("The syncer does not answer", "Since", "3 min ago", "can be installed", "docker compose logs syncer"):
        assert said in headline
    assert "/ui/runs/r1" in answer.text
    assert "when the syncer is back" in answer.text, "a run that nobody starts does not come"
    assert client.get("/ui/projects").status_code == 503


def test_syncer_never_heard(serve: Serve, syncer: FakeSyncer, background: Background) -> None:
    """A control that never heard of the syncer says that, what works and what to do."""
    background.run(syncer.stop())
    with serve() as client:
        answer = client.get("/ui/")
    assert (answer.status_code, "The syncer does not answer" in answer.text) == (503, True)
    assert "docker compose logs syncer" in answer.text


def test_history_is_whole_where_an_answer_holds_few_runs(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The chart shows the last syncs, also where each has so many failures that they come in several answers."""
    syncer.runs_in_an_answer = 2
    syncer.runs = {f"r{number}": run(id=f"r{number}") for number in range(1, 6)}
    syncer.told = {"last_run": syncer.runs["r5"]}
    page = client.get("/ui/").text
    assert all(f"/ui/runs/r{number}" in page for number in range(1, 6))


def test_history_is_asked_for_once_a_run(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A page that is open all day costs the syncer its status, and the list of runs only when a sync has ended."""
    for state in ("r1", "r2"):
        syncer.runs[state] = run(id=state)
        syncer.told = {"last_run": syncer.runs[state]}
        for _ in range(3):
            assert f"/ui/runs/{state}" in client.get("/ui/").text
    assert [seen.path for seen in syncer.seen].count("/runs") == 2


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("headers", "index", "trusted"),
    [
        ({"host": "mirror.example:8080"}, "http://mirror.example:8080/simple/", "mirror.example"),
        ({"host": "x", "x-forwarded-host": "10.10.10.5"}, "http://10.10.10.5/simple/", "10.10.10.5"),
        ({"host": "[::1]:8080"}, "http://[::1]:8080/simple/", "[::1]"),
        ({"host": "pypi.corp", "x-forwarded-proto": "https"}, "https://pypi.corp/simple/", None),
        ({"host": "evil.example/path"}, "http://THIS-HOST/simple/", "THIS-HOST"),
        ({"host": "user:secret@evil.example"}, "http://THIS-HOST/simple/", "THIS-HOST"),
        ({"host": 'a"\nRUN curl'}, "http://THIS-HOST/simple/", "THIS-HOST"),
        ({"host": "a; rm -rf"}, "http://THIS-HOST/simple/", "THIS-HOST"),
        ({"host": "mirror", "x-forwarded-proto": "javascript"}, "http://mirror/simple/", "mirror"),
        ({"host": "mirror", "x-forwarded-prefix": "/pypi-proxy"}, "http://mirror/pypi-proxy/simple/", "mirror"),
        ({"host": "mirror", "x-forwarded-prefix": "/a/b.c/"}, "http://mirror/a/b.c/simple/", "mirror"),
        ({"host": "mirror", "x-forwarded-prefix": "//evil.example"}, "http://mirror/simple/", "mirror"),
        ({"host": "mirror", "x-forwarded-prefix": "/a/../b"}, "http://mirror/simple/", "mirror"),
        ({"host": "mirror", "x-forwarded-prefix": "/a\nRUN curl"}, "http://mirror/simple/", "mirror"),
        ({"host": "mirror", "x-forwarded-prefix": "/" + "a" * 65}, "http://mirror/simple/", "mirror"),
        ({}, "http://THIS-HOST/simple/", "THIS-HOST"),
    ],
)
def test_own_address(headers: dict[str, str], index: str, trusted: str | None) -> None:
    """The address is the one that was asked, or a placeholder where that is no host and port."""
    address = Address.of_request(headers)
    assert (address.index_url, address.trusted) == (index, trusted)


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("path", [*PAGES, "/ui/runs/absent", "/ui/no/such/page", "/api/docs"])
def test_links_hold_below_the_path_of_a_proxy(client: httpx2.Client, path: str) -> None:
    """Every link, form, script and style is relative to the page, so a proxy may give the mirror a path of its own."""
    text = client.get(path).text
    links = set(re.findall(r'(?:href|src|action|data-hx-get)="([^"#]+)"', text))
    roots = set(re.findall(r'data-root="([^"]+)"', text))
    assert links
    for link in links:
        assert not link.startswith("/"), link
        assert urljoin(f"/proxy/path{path}", link) == f"/proxy/path{urljoin(path, link)}"
        assert re.match("/(?:ui|api|simple|packages)/", urljoin(path, link)), link
    assert {urljoin(f"/proxy/path{path}", f"{root}/api/v1/runs") for root in roots} <= {"/proxy/path/api/v1/runs"}


def test_snippets(client: httpx2.Client) -> None:
    """Each client is told this host's own URL; to trust it only over plain HTTP."""
    plain = client.get("/ui/use", headers={"X-Forwarded-Host": "10.10.10.5:8080"}).text
    secure = client.get("/ui/use", headers={"X-Forwarded-Host": "pypi.corp", "X-Forwarded-Proto": "https"}).text
    for name in ("pip", "uv", "poetry", "pdm", "Dockerfile", "GitLab CI"):
        assert f">{name}</h2>" in plain
    assert plain.count("http://10.10.10.5:8080/simple/") == 9
    assert secure.count("https://pypi.corp/simple/") == 9
    for trust in ("trusted-host = 10.10.10.5<", "verify_ssl = false", "PIP_TRUSTED_HOST=10.10.10.5 \\\n"):
        assert trust in plain
    assert not re.search("trusted|TRUSTED|verify_ssl", secure)
    assert "ENV PIP_INDEX_URL=https://pypi.corp/simple/ \\\n    UV_DEFAULT_INDEX=https://pypi.corp/simple/<" in secure


def test_retry_carries_what_the_api_takes(client: httpx2.Client) -> None:
    """Buttons hold the body of ``POST /api/v1/runs`` and nothing else that is sent."""
    wishes = re.findall(r'data-run="([^"]+)"', client.get("/ui/").text)
    parsed = [json.loads(wish.replace("&#34;", '"')) for wish in wishes]
    assert {"kind": "sync", "projects": ["zope-interface"]} in parsed
    assert [RunRequest.model_validate(wish) for wish in parsed]
