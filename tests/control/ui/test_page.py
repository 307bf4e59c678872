"""The page's HTML: its content and its security; tests/page tests it in a browser."""

import json
import re
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import quote, urljoin

import httpx2
import pytest

from control.conftest import Serve
from control.fake_syncer import (
    DEPENDENCIES,
    SUMMARY,
    TORN,
    FakeSyncer,
    half_dated_project,
    held_project,
    judged_project,
    required_project,
    rich_project,
)
from control.live import Background
from mirror_contract import (
    Counts,
    Disk,
    PendingRemoval,
    PolicyState,
    Project,
    ProjectAbout,
    ProjectFile,
    ProjectLink,
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
from mirror_control.client.health import assess_health
from mirror_control.client.issue import HealthLevel

NOW = datetime.now(UTC)
PAGES = (
    "/ui/",
    "/ui/projects",
    "/ui/projects/six",
    "/ui/projects/absent",
    "/ui/held",
    "/ui/unmet",
    "/ui/downloads",
    "/ui/use",
    "/ui/runs",
    "/ui/policy",
    "/ui/confirm?do=sync",
    "/ui/alerts",
    "/ui/nothing",
)


def run(state: RunState = RunState.SUCCEEDED, **other: Any) -> Run:
    """Return a full sync that ended a quarter of an hour ago."""
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
    """Return the status of a healthy mirror."""
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
    """Return a running full sync that started after the failed one."""
    return run(RunState.RUNNING, id="20261122T163233-3fa9c1", finished_at=None, counts=Counts(**counts))


def test_full_volume_names_pending_removal() -> None:
    """On a nearly full volume, the remedy names the files that wait for deletion and the command that deletes them."""
    waiting = PendingRemoval(files=3, bytes=2 * 10**9, first_at=NOW, last_at=NOW + timedelta(hours=20))
    told = status(disk=Disk(size_bytes=10**12, free_bytes=5 * 10**10), pending_removal=waiting)
    (issue,) = assess_health(told, now=NOW).issues
    assert "free 2.0 GB in 20 h at the latest, or now:" in issue.remedy
    assert "mirrorctl collect --now" in issue.remedy


@pytest.mark.proves("reliability/status")
@pytest.mark.parametrize(
    ("level", "title", "told"),
    [
        (HealthLevel.GOOD, "Fresh and complete", {}),
        (
            HealthLevel.GOOD,
            "Fresh and complete",
            {"scope": "everything", "projects": {"current": 7, "behind": 3, "withdrawn": 2}},
        ),
        (
            HealthLevel.GOOD,
            "Fresh; upstream serves older pages of 3 projects",
            {"projects": {"current": 7, "behind": 3, "withdrawn": 2}},
        ),
        (
            HealthLevel.GOOD,
            "Fresh; 3 projects still to be synced",
            {
                "projects": {"current": 7, "behind": 3},
                "running": [run(RunState.RUNNING, started_at=NOW, finished_at=None)],
            },
        ),
        (
            HealthLevel.BUSY,
            "The first sync is running",
            NEVER | {"running": [run(RunState.RUNNING, finished_at=None)]},
        ),
        (HealthLevel.WARNING, "Nothing has been mirrored yet", NEVER),
        (HealthLevel.WARNING, "No sync has run with this catalog yet", NEVER | {"installable": 5, "files": 9}),
        (
            HealthLevel.BUSY,
            "The first sync with this catalog is running",
            NEVER | {"installable": 5, "files": 9, "running": [run(RunState.RUNNING, finished_at=None)]},
        ),
        (
            HealthLevel.BUSY,
            "A sync is running: 3 of 7 projects",
            FAILED | {"running": [retry(projects_planned=7, projects_done=3)]},
        ),
        (HealthLevel.ALARM, "The last sync failed", FAILED | {"running": [retry(projects_planned=7)]}),
        (
            HealthLevel.ALARM,
            "The last sync failed",
            FAILED | {"running": [retry(projects_planned=7, projects_done=3, projects_failed=3)]},
        ),
        (HealthLevel.ALARM, "The syncer does not answer", {"syncer_up": False}),
        (HealthLevel.ALARM, "The volume can't be read", {"problems": ["is the disk mounted?"], "disk": None}),
        (HealthLevel.ALARM, "The last sync failed", {"last_run": run(RunState.FAILED, message="upstream is away")}),
        (HealthLevel.WARNING, "The last sync was cancelled", {"last_run": run(RunState.CANCELLED)}),
        (
            HealthLevel.WARNING,
            "No full sync has finished for more than a day",
            {"last_completed_at": WEEK_AGO, "running": [run(RunState.RUNNING, finished_at=None)]},
        ),
        (
            HealthLevel.WARNING,
            "The deletion guard withholds 51 removals",
            {"last_run": run(RunState.INCOMPLETE, counts=Counts(projects_withheld=51))},
        ),
        (
            HealthLevel.WARNING,
            "Not up to date: 3 of 10 projects",
            {"projects": {"current": 7, "failing": 1, "partial": 2}},
        ),
        (HealthLevel.WARNING, "1 line of mirror.toml does not install from here", {"dependencies": TORN}),
        (
            HealthLevel.WARNING,
            "9 lines of mirror.toml do not install from here",
            {"dependencies": TORN.model_copy(update={"lines_without_proof": 9})},
        ),
        (HealthLevel.GOOD, "Fresh and complete", {"dependencies": DEPENDENCIES}),
        (HealthLevel.WARNING, "A verify found 1 damaged file", {"damaged_files": 1, "damaged_since": WEEK_AGO}),
        (HealthLevel.WARNING, "The schedule is paused", {"schedule": Schedule(cron="0 3 * * *", paused=True)}),
        (HealthLevel.WARNING, "The volume is 95% full", {"disk": Disk(size_bytes=10**12, free_bytes=5 * 10**10)}),
        (
            HealthLevel.WARNING,
            "The volume has room for only 12,000 more files",
            {"disk": Disk(size_bytes=10**12, free_bytes=10**12, free_inodes=12_000)},
        ),
        (
            HealthLevel.BUSY,
            "A sync has been running for 3 h",
            {"running": [run(RunState.RUNNING, started_at=NOW - timedelta(hours=3), finished_at=None)]},
        ),
        (
            HealthLevel.GOOD,
            "Complete as of 7 d ago",
            {
                "last_completed_at": WEEK_AGO,
                "schedule": Schedule(cron="0 3 * * 6", next_run_at=NOW + timedelta(hours=2)),
            },
        ),
    ],
)
def test_headline_states_the_main_issue(level: HealthLevel, title: str, told: dict[str, Any]) -> None:
    """The headline states the main issue, and every issue has what still works and the remedy."""
    verdict = assess_health(status(**told), now=NOW)
    assert (verdict.level, verdict.title) == (level, title)
    assert all(issue.still_works and issue.remedy for issue in verdict.issues)
    assert not any("`mirrorctl" in issue.remedy for issue in verdict.issues), "the host has no such command"
    assert verdict.issues or verdict.summary


def test_worst_issue_comes_first() -> None:
    """Of several issues, the headline is the one that stops updates; the others follow."""
    told = {"projects": {"failing": 2}, "syncer_up": False, "as_of": WEEK_AGO, "problems": ["the disk is full"]}
    verdict = assess_health(status(**told), now=NOW)
    assert [issue.level for issue in verdict.issues] == [HealthLevel.ALARM, HealthLevel.ALARM, HealthLevel.WARNING]
    assert (verdict.issues[0].title, verdict.issues[0].since) == ("The syncer does not answer", WEEK_AGO)


@pytest.mark.proves("reliability/status")
def test_failed_sync_shows_first_failure() -> None:
    """The issue counts from the first failed sync, and later attempts do not change that."""
    for completed in (None, WEEK_AGO - timedelta(days=7)):
        told = status(**NEVER | FAILED | {"last_completed_at": completed})
        assert assess_health(told, now=NOW).issues[0].since == WEEK_AGO


@pytest.mark.proves("reliability/status")
def test_running_sync_hides_no_other_issue() -> None:
    """A recovering sync is the headline, but scripts still get the worst level."""
    told = FAILED | {"running": [retry(projects_planned=7, projects_done=3)], "projects": {"current": 6, "failing": 1}}
    verdict = assess_health(status(**told), now=NOW)
    assert [issue.level for issue in verdict.issues] == [HealthLevel.BUSY, HealthLevel.WARNING]
    assert verdict.worst_level is HealthLevel.WARNING
    assert "The previous sync failed: upstream is away" in (verdict.issues[0].detail or "")


def test_removals_are_withheld_since_the_first_run() -> None:
    """The issue counts from the first run that withheld removals, and names the command that lists them."""
    last = run(RunState.INCOMPLETE, counts=Counts(projects_withheld=51))
    (issue,) = assess_health(status(last_run=last, withheld_since=WEEK_AGO), now=NOW).issues
    assert issue.since == WEEK_AGO
    assert "syncer plan` lists them" in issue.remedy


def test_idle_sync_is_shown() -> None:
    """A sync that gets nothing from upstream is shown after a minute."""
    hanging = run(RunState.RUNNING, finished_at=None, counts=Counts(projects_planned=129))
    verdict = assess_health(status(running=[hanging]), now=NOW)
    assert (verdict.level, verdict.title) == (HealthLevel.BUSY, "A sync has been running for 20 min")
    assert "None of 129 is done: does upstream answer?" in verdict.summary
    moving = run(RunState.RUNNING, finished_at=None, counts=Counts(projects_planned=129, projects_done=1))
    assert assess_health(status(running=[moving]), now=NOW).level is HealthLevel.GOOD


def test_unreachable_upstream_names_the_settings() -> None:
    """The issue names the network settings, and that the next run catches up."""
    (issue,) = assess_health(status(last_run=run(RunState.FAILED, message="upstream does not answer")), now=NOW).issues
    for told in (
        "`HTTPS_PROXY`",
        "`MIRROR_UPSTREAM`",
        "the next run catches up",
        "The next scheduled run starts in 10 min",
    ):
        assert told in issue.remedy


def test_projects_fail_since_the_first_failure() -> None:
    """The issue counts from the first failing project, whatever later syncs did."""
    verdict = assess_health(status(projects={"current": 6, "failing": 1}, needs_attention_since=WEEK_AGO), now=NOW)
    assert verdict.issues[0].since == WEEK_AGO


def test_full_disk_is_not_blamed_on_upstream() -> None:
    """After a failure by a full disk, no remedy mentions upstream."""
    full = Disk(size_bytes=10**12, free_bytes=10**10)
    told = assess_health(status(**FAILED | {"problems": ["the disk is full"], "disk": full}), now=NOW)
    assert [issue.title for issue in told.issues] == ["The volume has a problem", "The last sync failed"]
    assert [issue.since for issue in told.issues] == [told.issues[1].since] * 2
    assert "Solve the problem with the volume first" in told.issues[1].remedy


def test_exceeded_limit_is_not_blamed_on_upstream() -> None:
    """After a sync that stopped at ``[limits]``, the remedy is in mirror.toml and does not mention upstream."""
    message = "[limits] projects = 5, and the lines need 11 projects; raise the limit, or name fewer projects"
    (issue,) = assess_health(status(last_run=run(RunState.FAILED, message=message)), now=NOW).issues
    assert (issue.title, issue.detail) == ("The last sync failed", message)
    assert issue.remedy.startswith("Change `config/mirror.toml`")
    assert "MIRROR_UPSTREAM" not in issue.remedy


@pytest.mark.proves("reliability/upstream")
def test_unchanged_upstream_is_a_warning() -> None:
    """A large upstream without changes for six hours is a warning; a small one is not."""
    told = {"upstream_news_at": NOW - timedelta(days=3)}
    many = assess_health(status(projects={"current": 900_000}, **told), now=NOW)
    few = assess_health(status(**told), now=NOW)
    lively = assess_health(status(projects={"current": 900_000}, upstream_news_at=NOW - timedelta(hours=1)), now=NOW)

    assert (many.level, many.title) == (HealthLevel.WARNING, "Upstream answers, but has not changed for too long")
    assert many.issues[0].since == told["upstream_news_at"]
    assert (few.level, lively.level) == (HealthLevel.GOOD, HealthLevel.GOOD)


def test_invalid_policy_is_an_issue(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page shows the mistakes in mirror.toml with line and key, since when, and which policy is in force."""
    problem = {"line": 6, "key": "mirror.latest", "message": "mirror.latest = 0: must be a whole number <b>"}
    state = PolicyState.model_validate(
        {"file": "/etc/pypi-mirror/mirror.toml", "problems": [problem], "invalid_since": WEEK_AGO}
    )
    told = assess_health(status(policy=state), now=NOW)
    assert (told.level, told.title) == (HealthLevel.WARNING, "mirror.toml cannot be used")
    assert told.issues[0].detail == "line 6: mirror.latest = 0: must be a whole number <b>"
    assert told.issues[0].since == WEEK_AGO
    syncer.told = {"policy": state}
    shown = client.get("/ui/").raise_for_status().text
    assert "line 6: mirror.latest = 0: must be a whole number &lt;b&gt;" in shown
    assert "the last good one, because mirror.toml cannot be used" in shown


def test_starter_selection_is_shown(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Without mirror.toml, the page says that the example is in force, and how to change it; this is no issue."""
    state = PolicyState(file="/etc/pypi-mirror/mirror.example.toml", starter=True)
    assert assess_health(status(policy=state), now=NOW).level is HealthLevel.GOOD
    syncer.told = {"policy": state}
    assert "cp config/mirror.example.toml config/mirror.toml" in client.get("/ui/").raise_for_status().text


def test_page_shows_last_change_and_previous_upstream(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page shows when upstream last changed, and the previous upstream."""
    syncer.told = {"upstream_news_at": WEEK_AGO, "previous_upstream": "https://old.example.org"}
    shown = client.get("/ui/").raise_for_status().text

    assert "Upstream last changed" in shown
    assert "previously https://old.example.org" in shown


def test_many_projects_behind_have_a_link(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """If more projects are behind than the page lists, a link leads to all of them."""
    syncer.projects["six"] = syncer.projects["six"].model_copy(update={"state": ProjectState.BEHIND})
    syncer.told = {"failing": [syncer.projects["six"]], "projects": {ProjectState.BEHIND: 70}}
    assert ">All projects that are behind</a>" in client.get("/ui/").text
    syncer.told = {"failing": [syncer.projects["six"]], "projects": {ProjectState.BEHIND: 1}}
    assert "projects that are behind</a>" not in client.get("/ui/").text


def test_no_next_run_is_shown_without_syncer() -> None:
    """While the syncer is down, no next run is announced."""
    told = assess_health(status(syncer_up=False, last_run=run(RunState.FAILED)), now=NOW)
    assert not any("next scheduled run" in issue.remedy for issue in told.issues)


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("path", PAGES)
def test_page_allows_only_its_own_scripts(client: httpx2.Client, path: str) -> None:
    """Each page has a strict policy and follows it: no inline script or style, no other host."""
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
def test_project_shows_files_without_upload_time(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project shows the number, the effect and the names of files without an upload time."""
    syncer.projects["six"] = half_dated_project()
    page, older = (client.get(f"/ui/projects/six{query}").text for query in ("", "?version=1.0"))
    assert "1 file: pip --uploaded-prior-to refuses the project" in page
    assert "<bdi>six-1.0.tar.gz</bdi>." in page.partition("Their names")[2]
    assert 'data-label="Uploaded">unknown' in older.partition("packages/ab/six-1.0.tar.gz")[2]
    assert 'data-label="Uploaded">unknown' not in page.partition("packages/ab/six-2.0.tar.gz")[2]


def test_project_shows_the_decision_about_every_file(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project's page shows what is decided about each file and why, also of files that are not published."""
    syncer.projects["six"] = judged_project()
    pages = [client.get(f"/ui/projects/six?version={version}").text for version in ("1.0", "0.9", "2.0")]
    absent = client.get("/ui/projects/six").text.partition("Not here, and why")[2]
    assert '<span class="state keep">keep</span> <span class="quiet"><bdi>mirror.toml selects it</bdi>' in pages[0]
    assert '<span class="state lost">lost</span> <span class="quiet"><bdi>upstream took it</bdi>' in pages[1]
    for page in (absent, pages[2]):
        assert "six-2.0.tar.gz" in page
        assert "its version does not match &lt;b&gt;" in page
        assert '<span class="state drop">drop</span>' in page
    assert "Release <code><bdi>2.0</bdi></code> is not here." in pages[2]
    assert "Not here, and why" not in pages[0]


def test_waiting_project_shows_until_when_its_files_wait(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The page of a project whose files all wait or are blocked says so, with time and reason of each."""
    syncer.projects["six"] = held_project()
    page = client.get("/ui/projects/six").text
    others = page.partition("Not here, and why")[2]
    assert "All its files wait for their cooldown or are blocked; its page is empty." in page
    assert '/ui/held?project=six">1 waiting, 1 blocked</a>' in page
    assert "No file is published." in page
    assert re.search(r"hold, published <time [^>]+>in 5 d</time>", others)
    assert others.index("six-2.0.tar.gz") < others.index("six-1.0.tar.gz")
    assert "&lt;b&gt;malware&lt;/b&gt;" in others


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("no longer selected in mirror.toml", '"six",</pre>'),
        ("blocked in mirror.toml: <b>malware</b>", "Remove its entry from <code>[block]</code>"),
    ],
)
def test_project_that_left_says_how_to_get_it_again(
    client: httpx2.Client, syncer: FakeSyncer, error: str, told: str
) -> None:
    """The page of a project that was here, and is no longer selected, is a 404 with the reason and the remedy."""
    syncer.projects["six"] = Project(name="six", state=ProjectState.WITHDRAWN, error=error)
    answer = client.get("/ui/projects/six")
    assert answer.status_code == 404
    assert f"six was here: {escape(error)}." in answer.text
    assert told in answer.text
    assert ">six</a>" in client.get("/ui/projects?state=withdrawn").text


@pytest.mark.parametrize("state", ProjectState)
def test_each_state_has_a_page_and_a_filter(client: httpx2.Client, syncer: FakeSyncer, state: ProjectState) -> None:
    """A project in any state has a page that explains it, and the list can be filtered by it."""
    syncer.projects["six"] = Project(name="six", state=state, selected="six")
    answer = client.get("/ui/projects/six")
    assert answer.status_code == 200
    assert re.search(rf"<h1>six <span class=\"state {state}\">{state}</span></h1>\s+<p>[A-Z].+\.</p>", answer.text)
    assert ">six</a>" in client.get(f"/ui/projects?state={state}").text


def test_status_sums_up_what_is_held_and_lists_warnings(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The first page shows how many files are held, what comes next, and what is wrong with the policy."""
    warnings = [f"lock {number} {HOSTILE}" for number in range(12)]
    syncer.told = {"held": SUMMARY, "policy": PolicyState(file="mirror.toml", warnings=warnings)}
    page = client.get("/ui/").text
    assert '<a href="../ui/held">1</a>' in page
    assert re.search(r"the next change is <time [^>]+>in 5 d</time>", page)
    assert ">1 blocked</a>" in page
    assert "lock 9 &lt;script&gt;" in page
    assert "lock 10" not in page
    assert "and 2 more" in page


@pytest.mark.proves("security/upstream")
def test_unmet_requirements_are_listed(client: httpx2.Client) -> None:
    """The page of unmet requirements has project, requirement, machines and reason of each, and a filter."""
    page = client.get("/ui/unmet").text
    one = client.get("/ui/unmet?reason=no_release&project=SIX").text
    none = client.get("/ui/unmet?project=idna").text
    assert "&lt;b&gt;old\N{REPLACEMENT CHARACTER}[2J&lt;/b&gt;&lt;1" in page
    assert "Python 3.11 on linux-x86_64, Python 3.12 on linux-x86_64 and 1 more" in page
    assert re.search(r'projects/torn">torn</a> <bdi>in mirror.toml</bdi>', page)
    assert ("torn[all]" in one, "&lt;b&gt;old" in one) == (False, True)
    assert '<option value="no_release" selected>' in one
    assert "No requirement of <a " in none
    assert client.get("/ui/unmet?project=/etc/x").status_code == 422


def test_long_list_of_unmet_requirements_has_a_next_page(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long list of unmet requirements continues on further pages with the same filters."""
    monkeypatch.setattr("mirror_control.ui.pages._PAGE_SIZE", 1)
    first = client.get("/ui/unmet").text
    link = re.search(r'href="\.\.(/ui/unmet[^"]+)">Next page', first)
    assert link
    assert "no release of old" in client.get(link[1].replace("&amp;", "&")).text


def test_status_page_shows_lines_that_do_not_install(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The first page has the issue with the solver's words, how many projects are required, and a link to the list."""
    syncer.told = {"dependencies": TORN, "problems": []}
    page = client.get("/ui/").text
    assert "1 line of mirror.toml does not install from here" in page
    assert "torn 1.0 needs &lt;b&gt;six\N{REPLACEMENT CHARACTER}[2J&lt;/b&gt;" in page
    assert "<dt>Dependencies</dt><dd>203 projects</dd>" in page
    assert re.search(r'resolved <time .+?</time>, <a href="\.\./ui/unmet">5 unmet requirements</a>', page)
    syncer.told = {"dependencies": DEPENDENCIES.model_copy(update={"resolved_at": None, "unmet": {}})}
    assert "not resolved yet</dd>" in client.get("/ui/").text


@pytest.mark.proves("security/upstream")
def test_project_page_shows_what_it_depends_on(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project's page tells why each release is here, what it requires, met or not, and who requires it."""
    syncer.projects["six"] = required_project()
    page = client.get("/ui/projects/six").text
    assert "<dd><code>app → six&gt;=1</code></dd>" in page
    assert "witness of &lt;b&gt;torn\N{REPLACEMENT CHARACTER}[2J&lt;/b&gt; on Python 3.11" in page
    assert re.search(
        r'projects/idna"><bdi>idna&gt;=2</bdi></a>.+?<span class="state here">here</span>', page, re.DOTALL
    )
    assert "&lt;b&gt;old\N{REPLACEMENT CHARACTER}[2J&lt;/b&gt;&lt;1" in page
    assert "<bdi>2.0, 1.0, 0.9 …</bdi>" in page
    assert "possibly more" in page
    assert re.search(r'projects/app">app</a>.+?six&gt;=1 &lt;b&gt;', page, re.DOTALL)


def test_project_page_tells_how_to_install(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project's page has the commands of pip, uv and poetry with this mirror's address, for the shown release."""
    syncer.projects["numpy"] = rich_project()
    page = client.get("/ui/projects/numpy", headers={"Host": "10.10.10.5:8080"}).text
    older = client.get("/ui/projects/numpy?version=v2.0", headers={"X-Forwarded-Proto": "https"}).text
    url = "http://10.10.10.5:8080/simple/"
    assert f"pip install --index-url {url} --trusted-host 10.10.10.5 numpy</pre>" in page
    assert f"uv add --default-index {url} numpy</pre>" in page
    assert f"poetry source add --priority=primary mirror {url}\npoetry add --source mirror numpy</pre>" in page
    assert " numpy==2.0</pre>" in older
    assert "--trusted-host" not in older


@pytest.mark.proves("security/upstream")
def test_project_page_lists_releases_newest_first(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Releases come newest first with date, Pythons, platforms, yanks and size; one of them with its files."""
    syncer.projects["numpy"] = rich_project()
    page = client.get("/ui/projects/numpy").text
    table = page.partition('<h2 id="releases">')[2].partition('<h2 id="files">')[0]
    versions = re.findall(r'\?version=[^"]+"[^>]*><bdi>([^<]+)</bdi>', table)
    assert versions == ["3.0rc1", "2.1.0", "2.0", "1.0"]
    assert "pre-release" in table.partition("3.0rc1")[2].partition("</tr>")[0]
    newest = table.partition(">2.1.0<")[2].partition("</tr>")[0]
    assert "Linux aarch64, x86_64 · Linux (musl) x86_64 · macOS arm64 · Windows x86_64 · source" in newest
    assert "<bdi>&gt;=3.11</bdi>" in newest
    assert "112.0 MB" in newest
    assert "wrong &lt;b&gt;metadata&lt;/b&gt;" in table.partition(">1.0<")[2]
    assert '<h1>numpy <bdi>2.1.0</bdi> <span class="state current">current</span></h1>' in page
    assert "Fundamental package for array computing" in page
    assert '<a href="https://numpy.org/" rel="nofollow noopener noreferrer"' in page
    files = page.partition('<h2 id="files">')[2].partition('<h2 id="absent">')[0]
    assert files.count('class="hash"') == 16
    assert f'<code class="hash" id="hash-1">{"5f" * 32}</code>' in files
    absent = page.partition('<h2 id="absent">')[2]
    assert absent.index("2.2.0") < absent.index("0.9")
    assert "and 1 more" in absent


def test_long_project_page_is_bounded(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project of many releases, files, reasons and requirements has a page of at most 150 kB, assets included."""
    name = "x" * 200
    files = [
        ProjectFile(
            filename=f"{name}-{number}.0-py3-none-any.whl",
            version=f"{number // 4}.0",
            url=f"packages/ab/{name}-{number}.0-py3-none-any.whl" if number < 500 else None,
            sha256="ab" * 32,
            decision="keep" if number < 500 else "drop",
            reason=f"its version does not match 'x=={number}'",
        )
        for number in range(1000)
    ]
    required = required_project().dependencies
    assert required
    many = required.model_copy(
        update={
            "requires": [required.requires[1].model_copy(update={"requirement": f"{name}{n}"}) for n in range(500)],
            "required_by": [required.required_by[0]] * 500,
            "releases": [required.releases[1]] * 100,
        }
    )
    syncer.projects["six"] = Project(
        name="six", state=ProjectState.CURRENT, file_count=500, files=files, dependencies=many
    )
    answer = client.get("/ui/projects/six")
    assets = set(re.findall(r'(?:src|href)="\.\./\.\.(/ui/static/[^"]+)"', answer.text))
    size = len(answer.content) + sum(len(client.get(url).content) for url in assets)
    older = re.search(r'href="\.\./\.\.(/ui/projects/six\?older=\d+)', answer.text)
    assert older
    assert "74.0</bdi>" in client.get(older[1]).text
    assert size <= 150_000, size


@pytest.mark.parametrize(
    ("absence", "told"),
    [
        ("unselected", '"idna",</pre>'),
        ("blocked", "Remove its entry from <code>[block]</code>"),
        ("upstream", "upstream has no project of this name"),
    ],
)
def test_unknown_project_says_why_and_how_to_get_it(
    client: httpx2.Client, syncer: FakeSyncer, absence: str, told: str
) -> None:
    """The page of a project that is not here is a 404 that says why, and what to change to get it."""
    syncer.absences["idna"] = absence, f"idna is away: {HOSTILE}"
    syncer.projects["idna-ssl"] = Project(name="idna-ssl", state=ProjectState.CURRENT)
    answer = client.get("/ui/projects/IDNA")
    assert answer.status_code == 404
    assert "<bdi>idna</bdi> is not here" in answer.text
    assert "idna is away: &lt;script&gt;" in answer.text
    assert '/ui/projects/idna-ssl">idna-ssl</a>' in answer.text
    assert told in answer.text


@pytest.mark.proves("security/upstream")
def test_hostile_releases_are_harmless(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Versions, requires-python, yanks, summary, license and labels of strangers are shown as text."""
    file = ProjectFile(
        filename=HOSTILE, version=HOSTILE, requires_python=HOSTILE, yanked=HOSTILE, reason=HOSTILE, url="packages/ab/x"
    )
    about = ProjectAbout(
        version=HOSTILE,
        summary=HOSTILE,
        license=HOSTILE,
        links=[ProjectLink(label=HOSTILE, url="https://example.org/")],
    )
    syncer.projects["six"] = Project(
        name="six", state=ProjectState.CURRENT, newest_version=HOSTILE, files=[file], about=about
    )
    for path in ("/ui/projects", "/ui/projects/six", f"/ui/projects/six?version={quote(HOSTILE)}"):
        text = client.get(path).raise_for_status().text
        assert "&lt;script&gt;alert(1)" in text, path
        for evil in ("<script>alert", "\u202e", "\u2066", "\x1b", "\x07"):
            assert evil not in text, (path, evil)


def test_project_page_shows_the_number_of_more_files(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """If the answer has only a part of a project's files, the page shows how many more the index page has."""
    syncer.projects["six"] = half_dated_project().model_copy(update={"file_count": 100_000})
    assert "99,998 older files are on" in client.get("/ui/projects/six").text


def test_assets_are_immutable(client: httpx2.Client) -> None:
    """Styles and scripts come from the mirror under URLs with a digest; other URLs do not exist."""
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
def test_upstream_text_is_harmless(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Markup from upstream is shown as text, and control characters as �."""
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
def test_invalid_project_name_is_404(client: httpx2.Client, name: str) -> None:
    """The page of an invalid project name is a 404 in HTML."""
    answer = client.get(f"/ui/projects/{name}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_search_normalizes_names(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The search normalizes the name; an unknown state counts as any."""
    page = client.get("/ui/projects", params={"q": " Zope.Inter", "state": "purple"}).text
    assert "/ui/projects/zope-interface" in page
    assert "/ui/projects/six" not in page
    assert syncer.seen[-1].query == [("limit", "100"), ("q", "zope-inter")]


def test_search_finds_a_part_of_a_name_and_sorts(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The list has search, order, totals, and of each project its newest version and when it changed."""
    syncer.projects["numpy"] = rich_project()
    for number in range(150):
        name = f"dateutil-{number}"
        syncer.projects[name] = Project(name=name, state=ProjectState.CURRENT, stored_bytes=number)
    client.get("/ui/")
    found = client.get("/ui/projects?q=Interface").text
    first = client.get("/ui/projects?q=DateUtil&sort=size").text
    link = re.search(r'href="\.\.(/ui/projects\?[^"]+)">Next page', first)
    assert link
    second = client.get(link[1].replace("&amp;", "&")).text

    assert "/ui/projects/zope-interface" in found
    assert "1 project with <code>interface</code> in the name." in found
    assert "2 projects with 1 file, 11.1 kB" in found
    assert (first.count("<tr>"), second.count("<tr>")) == (101, 51)
    assert "150 projects with <code>dateutil</code>" in first
    assert '<option value="size" selected>' in second
    row = client.get("/ui/projects?q=numpy").text.partition(">numpy</a>")[2]
    assert re.search(r"2\.1\.0.+?state current.+?168\.0 MB.+?7 h ago", row, re.DOTALL)


def test_page_shows_last_known_state_without_syncer(
    client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """With the syncer down, the page says so first and shows the last known state, history included."""
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
    assert "once the syncer answers" in answer.text, "a run that nobody starts does not come"
    assert client.get("/ui/projects").status_code == 503


def test_page_without_known_state_shows_the_remedy(serve: Serve, syncer: FakeSyncer, background: Background) -> None:
    """Without a known state, the page says so, with what still works and the remedy."""
    background.run(syncer.stop())
    with serve() as client:
        answer = client.get("/ui/")
    assert (answer.status_code, "The syncer does not answer" in answer.text) == (503, True)
    assert "docker compose logs syncer" in answer.text


def test_history_is_complete_over_several_pages(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The chart shows all last syncs, even if the syncer returns them in several pages."""
    syncer.runs_in_an_answer = 2
    syncer.runs = {f"r{number}": run(id=f"r{number}") for number in range(1, 6)}
    syncer.told = {"last_run": syncer.runs["r5"]}
    page = client.get("/ui/").text
    assert all(f"/ui/runs/r{number}" in page for number in range(1, 6))


def test_history_is_requested_once_per_run(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """An open page requests the list of runs only after a sync has ended."""
    for state in ("r1", "r2"):
        syncer.runs[state] = run(id=state)
        syncer.told = {"last_run": syncer.runs[state]}
        for _ in range(3):
            assert f"/ui/runs/{state}" in client.get("/ui/").text
    assert [seen.path for seen in syncer.seen if ("kind", "sync") in seen.query].count("/runs") == 2


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
def test_address_comes_from_the_request(headers: dict[str, str], index: str, trusted: str | None) -> None:
    """The page shows the requested address, or a placeholder if it is invalid."""
    address = Address.of_request(headers)
    assert (address.index_url, address.trusted_host) == (index, trusted)


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("path", [*PAGES, "/ui/runs/absent", "/ui/no/such/page", "/api/docs"])
def test_links_work_below_a_proxys_path(client: httpx2.Client, path: str) -> None:
    """Every link, form, script and style is relative, so a proxy may add a path prefix."""
    text = client.get(path).text
    links = set(re.findall(r'(?:href|src|action|data-hx-get)="([^"#]+)"', text))
    roots = set(re.findall(r'data-root="([^"]+)"', text))
    assert links
    for link in links:
        assert not link.startswith("/"), link
        assert urljoin(f"/proxy/path{path}", link) == f"/proxy/path{urljoin(path, link)}"
        assert re.match("/(?:ui|api|simple|packages)/", urljoin(path, link)), link
    assert {urljoin(f"/proxy/path{path}", f"{root}/api/v1/runs") for root in roots} <= {"/proxy/path/api/v1/runs"}


def test_buttons_contain_valid_requests(client: httpx2.Client) -> None:
    """Buttons contain a valid body for ``POST /api/v1/runs``."""
    wishes = re.findall(r'data-call="POST /runs"[^>]+data-body="([^"]+)"', client.get("/ui/").text)
    parsed = [json.loads(wish.replace("&#34;", '"')) for wish in wishes]
    assert {"kind": "sync", "projects": ["zope-interface"]} in parsed
    assert [RunRequest.model_validate(wish) for wish in parsed]
