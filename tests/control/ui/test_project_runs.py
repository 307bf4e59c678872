"""The runs and the added line on a project's page."""

import re
from datetime import UTC, datetime

import httpx2
import pytest

from control.fake_syncer import FakeSyncer, required_project
from control.live import Background
from mirror_contract import Failure, ProjectAbout, ProjectLink, Run, RunChange, RunKind, RunRequest, RunState, Trigger

NOW = datetime.now(UTC)
HOSTILE = "<script>alert(1)</script>\u202egnp.exe"


def log(syncer: FakeSyncer, run_id: str, *, projects: tuple[str, ...] | None = None, reason: str | None = None) -> None:
    """Let a run have ended."""
    syncer.runs[run_id] = Run(
        id=run_id,
        request=RunRequest(kind=RunKind.SYNC, projects=projects),
        trigger=Trigger.API,
        state=RunState.INCOMPLETE if reason else RunState.SUCCEEDED,
        created_at=NOW,
        started_at=NOW,
        failures=[Failure(project="six", reason=reason)] * 2 if reason else [],
    )


@pytest.mark.proves("security/upstream")
def test_project_page_lists_runs_that_name_it(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project's page lists the runs that failed on it, with the reason, and those that asked for it by name."""
    log(syncer, "r1", projects=("six",))
    log(syncer, "r2", reason=HOSTILE + "x" * 900)
    log(syncer, "r3")
    part = client.get("/ui/projects/six").text.partition('<h2 id="runs">')[2].partition("<h2")[0]
    assert re.findall(r"/ui/runs/(r\d)\"", part) == ["r2", "r1"]
    assert "its page is unchanged" in part
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\N{REPLACEMENT CHARACTER}gnp.exe" in part
    assert re.search(r"more characters\)</bdi> and 1 more", part)
    assert "x" * 301 not in part
    assert "A run lists its first hundred changes and failures" in part


def test_project_page_lists_runs_that_changed_it(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project's page says what a run changed about it."""
    changes = {"r1": RunChange(project="six", files_fetched=1_200), "r2": RunChange(project="six", withdrawn=True)}
    for run_id, change in changes.items():
        log(syncer, run_id)
        syncer.runs[run_id] = syncer.runs[run_id].model_copy(update={"changes": [change]})
    part = client.get("/ui/projects/six").text.partition('<h2 id="runs">')[2].partition("<h2")[0]
    assert re.findall(r"downloaded 1,200 files|removed its page", part) == [
        "removed its page",
        "downloaded 1,200 files",
    ]


def test_project_page_says_what_it_does_not_know(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """Without such a run, the page says so."""
    assert "None of the last 1,000 runs changed it" in client.get("/ui/projects/six").text


@pytest.mark.proves("security/upstream")
def test_link_of_metadata_leads_to_the_web_alone(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A link with another scheme than the web's is left out, although the syncer passes on none."""
    urls = (
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        " javascript:alert(1)",
        "https://a.example/",
    )
    links = [ProjectLink(label="Home", url=url) for url in urls]
    about = ProjectAbout(version="1.0", links=links)
    syncer.projects["six"] = syncer.projects["six"].model_copy(update={"about": about})
    page = client.get("/ui/projects/six").text
    assert re.findall(r'href="([^"]*)" rel="nofollow', page) == ["https://a.example/"]
    assert "javascript:" not in page.lower()


def test_missing_requirement_leads_to_the_page_that_adds_it(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A requirement that is missing has a link to the page that says why, and adds it."""
    syncer.projects["six"] = required_project()
    page = client.get("/ui/projects/six").text
    assert re.findall(r'projects/([^"]+)">Why, and add', page) == ["old"]


def test_project_page_fails_with_the_syncer(client: httpx2.Client, syncer: FakeSyncer, background: Background) -> None:
    """While the syncer is away, the page of a project says so, and that nginx still serves files."""
    background.run(syncer.stop())
    answer = client.get("/ui/projects/six")
    assert (answer.status_code, "nginx still serves all mirrored files" in answer.text) == (503, True)
