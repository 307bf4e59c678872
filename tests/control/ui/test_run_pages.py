"""The pages of runs: a list to filter, what a run changed, its failures by cause, and which run broke a project."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from control.fake_syncer import FakeSyncer
from control.live import Background
from mirror_contract import Counts, Failure, Run, RunChange, RunKind, RunRequest, RunState, Trigger
from mirror_control.ui.run_effects import group_by_cause

NOW = datetime.now(UTC)


def make_run(number: int, **other: Any) -> Run:
    """Return a run that ended; a higher number is later."""
    begin = NOW - timedelta(minutes=30 * (200 - number))
    fields = {
        "id": f"r{number:03}",
        "request": RunRequest(kind=RunKind.SYNC),
        "trigger": Trigger.SCHEDULE,
        "state": RunState.SUCCEEDED,
        "created_at": begin,
        "started_at": begin,
        "finished_at": begin + timedelta(minutes=5),
    }
    return Run.model_validate(fields | other)


def rows(page: str) -> list[str]:
    """Return the ids of the listed runs."""
    return re.findall(r'<th scope="row"><a href="[./]+/ui/runs/(\w+)"', page)


def test_runs_are_filtered_and_paged(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """The list shows all kinds, filters by kind, state and trigger, and leads on to older runs with the same filter."""
    for number in range(120):
        kind = RunKind.VERIFY if number % 2 else RunKind.SYNC
        state = RunState.FAILED if number % 3 == 0 else RunState.SUCCEEDED
        run = make_run(number, request=RunRequest(kind=kind), state=state, trigger=Trigger.CLI)
        syncer.runs[run.id] = run
    page = client.get("/ui/runs").text
    assert rows(page) == [f"r{number:03}" for number in range(119, 69, -1)]
    found = []
    url = "/ui/runs?kind=verify"
    while url:
        page = client.get(url).text
        assert "<option selected>verify</option>" in page
        found += rows(page)
        following = re.search(r'href="\.\.(/ui/runs\?[^"]+)">Older', page)
        url = following[1].replace("&amp;", "&") if following else ""
    assert found == [f"r{number:03}" for number in range(119, 0, -2)]
    assert len(rows(client.get("/ui/runs?state=failed&kind=sync").text)) == 20
    assert rows(client.get("/ui/runs?trigger=api").text) == []
    assert len(rows(client.get("/ui/runs?kind=purple&state=%00&trigger=x").text)) == 50, "an unknown value means any"


def test_run_shows_changes_failures_and_phases(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A run's page names what it changed, groups failures by cause, and draws its phases without a script."""
    failures = [Failure(project=f"p{number}", reason=f"https://host/{number}: answered 503") for number in range(20)]
    failures += [Failure(reason="advisories cannot be read"), Failure(project="q", file="q-1.whl", reason="wrong hash")]
    syncer.runs["r1"] = make_run(
        1,
        id="r1",
        state=RunState.INCOMPLETE,
        counts=Counts(projects_changed=2, projects_failed=21),
        failures=failures,
        changes=[
            RunChange(project="six", newest_version="1.17.0", files_fetched=2, bytes_fetched=30_000),
            RunChange(project="numpy", newest_version="2.4.0", files_fetched=31, bytes_fetched=412_000_000),
            RunChange(project="gone", withdrawn=True),
        ],
        phases={"plan": 1.5, "transfer": 60.0, "publish": 0.2},
    )
    page = client.get("/ui/runs/r1").text
    causes = re.findall(r"<h3>(\d+) × <bdi>([^<]+)</bdi></h3>", page)
    assert causes == [
        ("1", "advisories cannot be read"),
        ("20", "https://host/… answered 503"),
        ("1", "wrong hash"),
    ]
    assert "5 more</summary>" in page
    assert re.search(r">numpy</a></th>\s*<td[^>]+><bdi>2\.4\.0</bdi>.+?31</td>", page, re.DOTALL)
    assert "412.0 MB" in page
    assert page.index(">numpy</a>") < page.index(">six</a>"), "the largest first"
    assert re.search(r">gone</a></th>\s*<td[^>]+><bdi>removed</bdi>", page, re.DOTALL)
    bars = re.findall(r'<dt>(\w+)</dt><dd><svg.+?class="bar" width="([\d.]+)".+?<span>([^<]+)</span>', page)
    assert bars == [("plan", "2.5", "1.5 s"), ("transfer", "100.0", "60 s"), ("publish", "0.33", "0.2 s")]
    assert '<input type="hidden" name="do" value="sync">' in page, "an incomplete sync offers another"


def test_run_that_broke_a_project_is_three_clicks_away(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """From the status, three clicks lead to the run that broke a project, and say what it reported."""
    broken = [Failure(project="zope-interface", reason="its page is no JSON")]
    story: list[dict[str, Any]] = [
        {"failures": broken, "state": RunState.INCOMPLETE},
        {"changes": [RunChange(project="zope-interface", newest_version="7.0")]},
        {"failures": broken, "state": RunState.INCOMPLETE},
        {},
        {"failures": broken, "state": RunState.INCOMPLETE},
    ]
    for number, fields in enumerate(story, 1):
        syncer.runs[f"r{number:03}"] = make_run(number, **fields)
    status = client.get("/ui/").text
    first = re.search(r'href="\.\.(/ui/runs\?project=zope-interface)"', status)
    assert first
    listed = client.get(first[1]).text
    assert rows(listed) == ["r005", "r003", "r002", "r001"], "it is not in the fourth"
    told = re.search(r'zope-interface has failed since <a href="\.\.(/ui/runs/r003)">', listed)
    assert told
    assert "changed its page; newest version 7.0" in listed
    assert "its page is no JSON" in client.get(told[1]).text


def test_project_that_recovered_is_not_called_failing(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A project that is up to date again is not said to fail, nor one of which the filter hides runs."""
    for number, name in enumerate(("numpy", "zope-interface"), 1):
        failures = [Failure(project=name, reason="answered 503")]
        syncer.runs[f"r{number:03}"] = make_run(number, state=RunState.INCOMPLETE, failures=failures)
    assert "has failed since" in client.get("/ui/runs?project=zope-interface").text
    assert "has failed since" not in client.get("/ui/runs?project=numpy").text
    assert "has failed since" not in client.get("/ui/runs?project=zope-interface&kind=sync").text


def test_run_of_several_projects_offers_no_other_sync(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """After a failed sync of some projects, the page offers no sync of the whole mirror."""
    request = RunRequest(kind=RunKind.SYNC, projects=("numpy", "scipy"))
    syncer.runs["r001"] = make_run(1, state=RunState.FAILED, request=request)
    assert 'name="do" value="sync"' not in client.get("/ui/runs/r001").text


def test_invalid_project_is_refused(client: httpx2.Client) -> None:
    """A project's name that is none is a 422 with a page."""
    answer = client.get("/ui/runs?project=..%2F..%2Fetc")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")


def test_seen_runs_stay_while_the_syncer_is_away(
    client: httpx2.Client, syncer: FakeSyncer, background: Background
) -> None:
    """While the syncer is away, pages of runs that were seen stay, with their age; others say that it is away."""
    syncer.runs["r001"] = make_run(1)
    syncer.runs["r002"] = make_run(2)
    for path in ("/ui/runs", "/ui/runs/r001"):
        assert "does not answer" not in client.get(path).text
    background.run(syncer.stop())
    for path in ("/ui/runs", "/ui/runs/r001"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert re.search("The syncer does not answer. This is what was known <time[^>]+>[0-9]+ s ago", answer.text)
        assert 'class="act-on"' not in answer.text, "nothing can be done then"
    assert client.get("/ui/runs/r002").status_code == 503


def test_unknown_run_is_no_last_known_one(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """A run that the syncer no longer has is a 404, even if it was seen before."""
    syncer.runs["r001"] = make_run(1)
    assert client.get("/ui/runs/r001").status_code == 200
    del syncer.runs["r001"]
    assert client.get("/ui/runs/r001").status_code == 404


@pytest.mark.parametrize("number", [0, 1, 100])
def test_every_failure_is_in_one_group(number: int) -> None:
    """Grouping loses no failure and repeats none."""
    failures = [Failure(project=f"p{place}", reason=f"reason {'a' * (place % 7)}") for place in range(number)]
    groups = group_by_cause(failures)
    assert sorted(one.project or "" for group in groups for one in group.failures) == sorted(
        one.project or "" for one in failures
    )
    sizes = [len(group.failures) for group in groups]
    assert sizes == sorted(sizes, reverse=True)
