"""The private API: what control asks of the syncer."""

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from packaging.utils import NormalizedName
from structlog.testing import capture_logs

import fakepypi
from mirror_contract import (
    Failure,
    PolicyCheck,
    Project,
    ProjectState,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Status,
    Trigger,
)
from mirror_syncer.catalog import Fact
from mirror_syncer.catalog.schema import run as run_table
from mirror_syncer.config.crontab import crontab
from mirror_syncer.model.page import PublishedPage
from mirror_syncer.publish import find_published
from mirror_syncer.service import private_api
from mirror_syncer.service import status as observer
from mirror_syncer.service.private_api import PrivateApi
from mirror_syncer.service.status import StatusReader
from mirror_syncer.service.timetable import Timetable
from mirror_syncer.volume import View
from syncer.site import Running, Site


@dataclass(frozen=True)
class Service:
    """A running mirror, and a client of its API."""

    running: Running
    http: TestClient[web.Request, web.Application]


@pytest.fixture
async def service(site: Site, pypi: fakepypi.FakePyPI) -> AsyncIterator[Service]:
    """A mirror of two projects, one of which upstream lacks."""
    pypi.index.project("six").upload("1.0")
    site.select("six", "no-such-project")
    async with site.running() as running:
        timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
        timetable.start()
        running.mirror.metrics.watch(lambda: timetable.next_run_at)
        api = PrivateApi(running.mirror, StatusReader(running.mirror, timetable))
        async with TestClient(TestServer(api.application())) as http:
            yield Service(running, http)
        timetable.stop()


async def problem(response: aiohttp.ClientResponse) -> str:
    """Return a problem's detail."""
    assert response.content_type == "application/problem+json"
    body = await response.json(content_type=None)
    assert body["status"] == response.status
    return str(body["detail"])


async def test_run_is_asked_for_and_looked_at(service: Service) -> None:
    """POST answers 202 with the run; GET shows it, and in the end its outcome."""
    answer = await service.http.post("/runs", json={"kind": "sync"}, headers={"X-Trigger": "cli"})
    asked = Run.model_validate_json(await answer.read())
    await service.running.ended(asked)

    ended = Run.model_validate_json(await (await service.http.get(f"/runs/{asked.id}")).read())

    assert (answer.status, asked.trigger) == (202, "cli")
    assert ended.state is RunState.INCOMPLETE
    listed = await (await service.http.get("/runs?state=incomplete&kind=sync&limit=1")).json()
    assert [item["id"] for item in listed["items"]] == [asked.id]
    assert listed["next"] is None


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('{"kind": "dance"}', "/kind"),
        ("{}", "/kind"),
        ("not json", "/"),
        ('{"kind": "sync", "projects": ["/etc/x"]}', "/projects/0"),
        ('{"kind": "sync", "repair": true}', "/"),
        ('{"kind": "sync", "wish": 1}', "/wish"),
    ],
)
async def test_bad_request_is_a_problem_that_points(service: Service, body: str, word: str) -> None:
    """A wrong request is 422 with a pointer to what is wrong, and makes no run."""
    answer = await service.http.post("/runs", data=body)

    assert answer.status == 422
    assert word in {error["pointer"] for error in (await answer.json(content_type=None))["errors"]}
    assert (await (await service.http.get("/runs")).json())["items"] == []


@pytest.mark.proves("reliability/time-and-order", "security/clients")
async def test_storm_of_triggers_is_bounded(service: Service, site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of 300 runs for as many projects ten begin, a hundred wait, the rest is told when to ask again; equals join."""
    gate = pypi.faults.on_page().gate()
    site.select("six", *(f"project-{number}" for number in range(301)))

    async def ask(*projects: str) -> tuple[int, str | None, str]:
        async with service.http.post("/runs", json={"kind": "sync", "projects": projects}) as answer:
            body = await answer.json(content_type=None)
            return answer.status, answer.headers.get("Retry-After"), str(body.get("id") or body["detail"])

    first = await ask("six")
    await gate.arrival()
    storm = [await ask(f"project-{number}", "six") for number in range(300)]
    refused = [answer for answer in storm if answer[0] != 202]
    again = await ask("project-100", "six")
    status = Status.model_validate_json(await (await service.http.get("/status")).read())
    service.running.mirror.runs.request(RunRequest(kind=RunKind.SYNC), trigger=Trigger.SCHEDULE)  # and is not refused
    gate.open()

    assert (len(status.running), len(status.queued), len(refused)) == (10, 100, 191)
    assert {answer[:2] for answer in refused} == {(429, "10")}
    assert "retry later" in refused[0][2]
    assert again == storm[100]
    for identifier in (first[2], storm[0][2], storm[100][2]):
        run = service.running.mirror.runs.get(identifier)
        assert run is not None
        assert (await service.running.ended(run)).state.ended
    assert (await ask("project-300", "six"))[0] == 202


async def test_ended_run_cannot_be_cancelled(service: Service) -> None:
    """Cancelling what has ended is 409; what never was, 404."""
    run = await service.running.sync()

    assert "has ended" in await problem(await service.http.post(f"/runs/{run.id}/cancel"))
    assert (await service.http.post("/runs/nothing/cancel")).status == 404


async def test_status_tells_what_needs_a_person(service: Service) -> None:
    """The status names the last run, the next one, what fails and why, and what is stored."""
    await service.running.sync()

    status = Status.model_validate_json(await (await service.http.get("/status")).read())

    assert status.last_run is not None
    assert status.last_run.state is RunState.INCOMPLETE
    assert (status.last_success_at, status.last_completed_at) == (None, status.last_run.finished_at)
    assert status.schedule.next_run_at is not None
    assert [project.name for project in status.failing] == ["no-such-project"]
    assert (status.projects[ProjectState.CURRENT], status.files) == (1, 2)
    assert status.disk is not None


async def test_status_tells_since_when_syncs_fail(service: Service, pypi: fakepypi.FakePyPI) -> None:
    """It is since the first whole sync that failed after one that did all it could, or after none; then no longer."""

    async def failing_since() -> datetime | None:
        return Status.model_validate_json(await (await service.http.get("/status")).read()).failing_since

    pypi.faults.on_page().status(403)
    first = await service.running.sync()
    await service.running.sync("six")
    again = await service.running.sync()
    at_first = await failing_since()
    pypi.faults.clear()
    done = await service.running.sync()
    healed = await failing_since()
    pypi.faults.on_page().status(403)
    failed = await service.running.sync()

    assert [run.state for run in (first, again, done, failed)] == ["failed", "failed", "incomplete", "failed"]
    assert (at_first, healed, await failing_since()) == (first.finished_at, None, failed.finished_at)


async def test_projects_are_paged_and_explained(service: Service) -> None:
    """Projects are searched and sorted, a page at a time; one shows its files, or why it has none."""
    await service.running.sync()

    first = await (await service.http.get("/projects?limit=1")).json()
    rest = await (await service.http.get(f"/projects?limit=1&after={first['next']}")).json()
    found = await (await service.http.get("/projects?state=current&q=X")).json()
    largest = await (await service.http.get("/projects?sort=size&limit=1")).json()
    smallest = await (await service.http.get(f"/projects?sort=size&after={largest['next']}")).json()
    six = Project.model_validate_json(await (await service.http.get("/projects/SIX")).read())
    missing = Project.model_validate_json(await (await service.http.get("/projects/no-such-project")).read())

    assert [item["name"] for item in first["items"] + rest["items"]] == ["no-such-project", "six"]
    assert ([item["name"] for item in found["items"]], found["next"], found["total"]) == (["six"], None, 1)
    assert [item["name"] for item in largest["items"] + smallest["items"]] == ["six", "no-such-project"]
    assert (await service.http.get("/projects?q=%0Asix")).status == 422
    assert (await service.http.get("/projects?sort=colour")).status == 422
    assert {file.filename for file in six.files or []} == {"six-1.0-py3-none-any.whl", "six-1.0.tar.gz"}
    assert (six.selected, missing.files, six.undated_files) == ("six", [], 0)
    assert all(file.upload_time and file.upload_time.tzinfo for file in six.files or [])
    assert "no such project" in (missing.error or "")
    assert "mirrorctl add unheard-of" in await problem(await service.http.get("/projects/unheard-of"))


async def test_project_shows_the_decision_about_every_file(
    service: Service, site: Site, pypi: fakepypi.FakePyPI
) -> None:
    """A project lists every file that upstream or the mirror names: published or not, with the decision and why."""
    six = pypi.index.project("six")
    for version in ("1.1", "2.0"):
        six.upload(version, wheel=False)
    pypi.faults.on_page("six").edit(lambda page: page["files"].append({**page["files"][0], "filename": "six-9.exe.sh"}))
    site.select("six<2", "no-such-project")
    service.running.mirror.policy.reload()
    await service.running.sync()
    # Upstream has other content now, and loses a file; the guard keeps both, since another project lost one today.
    six.upload_file("six-1.1.tar.gz", b"other", version="1.1", replace=True)
    six.delete_file("six-1.0.tar.gz")
    taken = f'{{"idna": {int(time.time())}}}'
    service.running.mirror.catalog.remember(Fact.RECENT_REMOVALS, taken)
    await service.running.sync()

    found = Project.model_validate_json(await (await service.http.get("/projects/six")).read())
    site.select("no-such-project")
    service.running.mirror.policy.reload()
    unselected = Project.model_validate_json(await (await service.http.get("/projects/six")).read())

    decided = [(file.filename, file.decision, file.url is not None) for file in found.files or []]
    assert decided == [
        ("six-1.0-py3-none-any.whl", "keep", True),
        ("six-1.0.tar.gz", "lost", True),
        ("six-1.1.tar.gz", "lost", True),
        ("six-2.0.tar.gz", "drop", False),
        ("six-1.1.tar.gz", "drop", False),
        ("six-9.exe.sh", "drop", False),
    ]
    reasons = [file.reason for file in found.files or []]
    assert reasons[:4] == [
        "mirror.toml selects it by 'six<2'",
        "upstream no longer has it; the deletion guard decides whether it leaves",
        "upstream has other content under this name; the deletion guard decides whether it leaves",
        "its version does not match 'six<2' in mirror.toml",
    ]
    assert {(file.decision, file.reason) for file in unselected.files or []} == {("leaving", "no longer selected")}


HEAD = """Metadata-Version: 2.4
Name: six
Version: 2.0
Summary: One <b>small</b> summary
Summary: another
License-Expression: MIT
Home-page: https://six.example.org/
Project-URL: Evil, javascript:alert(1)
Project-URL: Tracker, https://bugs.example.org/six
Project-URL: Phishing, https://pypi.org@evil.example.org/
Project-URL: Broken, http://[
Project-URL: https://no-label.example.org/

Project-URL: In the description, https://late.example.org/
"""


@pytest.mark.proves("security/project-owners")
async def test_project_tells_what_its_newest_release_says(
    service: Service, site: Site, pypi: fakepypi.FakePyPI
) -> None:
    """A project has the summary, the license and the web links of its newest release, and the facts of each file."""
    six = pypi.index.project("six")
    name = "six-2.0-py3-none-any.whl"
    six.upload_file(name, b"wheel", version="2.0", metadata=HEAD.encode(), requires_python=">=3.9")
    six.upload_file("six-3.0a1-py3-none-any.whl", b"pre", version="3.0a1", metadata=b"Summary: pre\n")
    six.yank("1.0", reason="broken")
    site.select("six>=1.0,<4.0a0", "no-such-project")
    service.running.mirror.policy.reload()
    await service.running.sync()

    found = Project.model_validate_json(await (await service.http.get("/projects/six")).read())
    (listed,) = (await (await service.http.get("/projects?q=six")).json())["items"]

    assert found.about
    assert (found.about.version, found.about.summary, found.about.license) == ("2.0", "One <b>small</b> summary", "MIT")
    assert [(link.label, link.url) for link in found.about.links] == [
        ("Homepage", "https://six.example.org/"),
        ("Tracker", "https://bugs.example.org/six"),
    ]
    assert listed["newest_version"] == found.newest_version == "2.0"
    facts = {file.filename: (file.version, file.requires_python, file.yanked) for file in found.files or []}
    assert facts[name] == ("2.0", ">=3.9", False)
    assert facts.get("six-1.0.tar.gz", ("1.0", None, "broken")) == ("1.0", None, "broken")


async def test_long_metadata_is_read_in_part(service: Service, pypi: fakepypi.FakePyPI) -> None:
    """Of long metadata only the beginning is read; what a project says about itself is bounded."""
    head = f"Summary: {'x' * 5_000}\nLicense: {'y' * 5_000}\n" + "".join(
        f"Project-URL: {'l' * 100}{n}, https://example.org/{n}\n" for n in range(5_000)
    )
    pypi.index.project("six").upload_file(
        "six-2.0-py3-none-any.whl", b"wheel", version="2.0", metadata=head.encode() + b"\xff" * 100_000
    )
    await service.running.sync()
    about = Project.model_validate_json(await (await service.http.get("/projects/six")).read()).about
    assert about
    assert (len(about.summary or ""), about.license, len(about.links)) == (500, None, 20)
    assert all(len(link.label) == 60 for link in about.links)


async def test_unknown_project_says_why(service: Service, site: Site) -> None:
    """The answer about a project that is not here says whether it is not selected, blocked, or not on upstream."""

    async def absence(name: str) -> tuple[str, str]:
        answer = await (await service.http.get(f"/projects/{name}")).json()
        return answer["absence"], answer["detail"]

    site.policy.write_text(
        '[mirror]\nprojects = ["six"]\n[block]\nprojects = [{ name = "evil", because = "malware" }]\n'
    )
    service.running.mirror.policy.reload()
    until = int(time.time()) + 60
    service.running.mirror.catalog.absent_projects.add(NormalizedName("ghost"), until=until, now=until - 60)

    assert (await absence("idna"))[0] == "unselected"
    assert await absence("Evil") == ("blocked", "evil is blocked in mirror.toml: malware.")
    assert (await absence("ghost"))[0] == "upstream"


@pytest.mark.proves("security/project-owners")
async def test_answer_for_a_project_of_many_files_is_bounded(
    service: Service, site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a project's files the newest come, and some older ones without an upload time; the counts are of all."""
    monkeypatch.setattr(observer, "_MAX_FILES_SHOWN", 3)
    monkeypatch.setattr(observer, "_MAX_UNDATED_SHOWN", 2)
    for number in range(1, 5):
        pypi.index.project("six").upload(f"2.{number}")

    def spoil(document: dict[str, Any]) -> None:
        for number in (0, 2, 4, 9):
            del document["files"][number]["upload-time"]

    pypi.faults.on_page().edit(spoil)
    await service.running.sync()
    page = site.web / "simple/six/index.v1_json"
    published = json.loads(page.read_bytes())["files"]

    six = Project.model_validate_json(await (await service.http.get("/projects/six")).read())

    shown = [published[number]["filename"] for number in (2, 4, 7, 8, 9)]
    assert [file.filename for file in six.files or []] == shown
    assert (six.file_count, six.undated_files) == (10, 4)


@pytest.mark.proves("security/project-owners")
async def test_page_is_read_once_for_all_who_ask_for_its_project(
    service: Service, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project's page is read from the disk again when another was published, and not before."""
    read = list[str]()

    def counted(volume: View, name: NormalizedName) -> PublishedPage | None:
        read.append(name)
        return find_published(volume, name)

    monkeypatch.setattr(observer, "find_published", counted)
    seen = []
    for version in ("2.0", "3.0"):
        pypi.index.project("six").upload(version)
        await service.running.sync()
        for _ in range(3):
            six = Project.model_validate_json(await (await service.http.get("/projects/six")).read())
            seen.append(len(six.files or []))

    assert (read, seen) == (["six", "six"], [4, 4, 4, 6, 6, 6])


@pytest.mark.proves("security/project-owners")
async def test_list_of_runs_with_many_failures_comes_in_bounded_parts(service: Service) -> None:
    """However many failures runs have, an answer is bounded, and its parts hold every run once."""
    catalog = service.running.mirror.catalog
    run = await service.running.sync("six")
    failures = [Failure(project="six", file="six-1.0.tar.gz", reason="€" * 1_000)] * 100
    for number in range(6):
        catalog.runs.add(run.model_copy(update={"id": f"2099010{number + 1}T000000000-0000ff", "failures": failures}))

    found, cursor, parts = list[str](), "", 0
    while cursor is not None:
        answer = await service.http.get(f"/runs?limit=200{cursor and f'&after={cursor}'}")
        body = await answer.read()
        assert len(body) < 1_000_000
        page = json.loads(body)
        found += [item["id"] for item in page["items"]]
        cursor, parts = page["next"], parts + 1

    assert found == [*(f"2099010{number + 1}T000000000-0000ff" for number in reversed(range(6))), run.id]
    assert parts > 1


@pytest.mark.proves("security/project-owners")
async def test_flood_of_calls_that_read_leaves_threads_for_a_sync(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few calls read at once; of those whose callers went away, nothing is read."""
    release, reading = threading.Event(), list[str]()
    busy, loop = asyncio.Event(), asyncio.get_running_loop()

    def slow(self: StatusReader, name: NormalizedName) -> None:
        reading.append(name)
        if len(reading) == 2:
            loop.call_soon_threadsafe(busy.set)
        release.wait(10)

    monkeypatch.setattr(StatusReader, "whole_project", slow)
    calls = [asyncio.ensure_future(service.http.get(f"/projects/p{number}")) for number in range(20)]
    await busy.wait()
    status = await service.http.get("/status")
    run = await service.running.sync("six")
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    release.set()
    last = await service.http.get("/projects/last")

    assert (status.status, run.state, last.status) == (200, RunState.SUCCEEDED, 404)
    assert len(reading) == 3


async def test_list_goes_on_after_an_item_alone(service: Service) -> None:
    """What a list goes on after is an item of its kind; anything else is a 422 that says so."""
    for listed, wrong in (
        ("runs", "six"),
        ("runs", ""),
        ("projects", "ö"),
        ("projects", "Six"),
        ("projects", "a" * 500 + "!"),
    ):
        said = await problem(await service.http.get(f"/{listed}", params={"after": wrong}))
        assert "query/after" in said, (listed, wrong)


async def test_runs_are_listed_by_who_asked_and_since_when(service: Service) -> None:
    """A list by trigger and moment leads on after its last item, in any time zone; nonsense is a 422."""
    asked = service.running.ask(RunKind.COLLECT)
    await service.running.ended(asked)
    await service.running.sync()
    listed = f"/runs?trigger=api&trigger=schedule&limit=1&since={asked.created_at:%Y-%m-%dT%H:%M:%S}"
    first = await (await service.http.get(f"{listed}Z")).json()
    rest = await (await service.http.get(f"{listed}%2B00:00&after={first['next']}")).json()

    assert [run["request"]["kind"] for run in first["items"] + rest["items"]] == ["sync", "collect"]
    assert rest["next"] is None
    assert (await (await service.http.get("/runs?trigger=cli")).json())["items"] == []
    assert (await (await service.http.get("/runs?since=2999-01-01")).json())["items"] == []
    for wrong in ("trigger=nobody", "since=yesterday", "since=0001-01-01T00:00:00%2B14:00"):
        assert (await service.http.get(f"/runs?{wrong}")).status == 422


async def test_name_is_searched_in_any_spelling(service: Service) -> None:
    """A part of a name is normalized as names are; what cannot be part of one is 422."""
    await service.running.sync()
    found = await (await service.http.get("/projects", params={"q": "No_Such.P"})).json()
    refused = await service.http.get("/projects", params={"q": "../etc"})

    assert [item["name"] for item in found["items"]] == ["no-such-project"]
    assert refused.status == 422
    assert "'../etc' is no part of a project's name" in await problem(refused)


async def test_key_stands_for_one_request(service: Service) -> None:
    """The same Idempotency-Key and request is the same run, even when that has ended; another request is 422."""
    key = {"Idempotency-Key": "nightly-1"}
    first = Run.model_validate_json(await (await service.http.post("/runs", json={"kind": "sync"}, headers=key)).read())
    await service.running.ended(first)
    again = await service.http.post("/runs", json={"kind": "sync", "force": False}, headers=key)
    other = await service.http.post("/runs", json={"kind": "verify"}, headers=key)

    assert (again.status, (await again.json())["id"]) == (202, first.id)
    assert other.status == 422
    assert "was used for another request" in await problem(other)
    assert len((await (await service.http.get("/runs")).json())["items"]) == 1


async def test_pause_outlives_the_schedule(service: Service) -> None:
    """A paused schedule has no next run, until it is resumed."""
    paused = await (await service.http.post("/schedule/pause")).json()
    resumed = await (await service.http.post("/schedule/resume")).json()

    assert (paused["paused"], paused["next_run_at"]) == (True, None)
    assert resumed["next_run_at"] is not None


async def test_candidate_policy_is_judged(service: Service) -> None:
    """A candidate is answered with its mistakes, or with how many projects it would change; nothing else happens."""
    await service.running.sync()
    answers = [
        await (await service.http.post("/policy/check", json={"text": text})).json()
        for text in ("[mirror]\nlatest = 0\nprojects = ['six']", '[mirror]\nprojects = ["idna"]')
    ]
    refused = await service.http.post("/policy/check", json={"txt": ""})

    assert [(one["line"], one["key"]) for one in answers[0]["problems"]] == [(2, "mirror.latest")]
    assert answers[0]["selected"] is None
    assert answers[1]["problems"] == []
    assert (answers[1]["arriving"], answers[1]["leaving_names"], answers[1]["withheld"]) == (1, ["six"], 0)
    assert refused.status == 422
    assert "PolicyCandidate" in await problem(refused)
    assert service.running.mirror.policy.error is None


async def test_policies_are_checked_one_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a candidate is checked, which may take seconds, another call gets 429 and when to retry."""
    begun, finish = threading.Event(), threading.Event()

    def check(content: bytes, in_force: object, *, seconds: float) -> PolicyCheck:
        begun.set()
        finish.wait(10)
        return PolicyCheck(scope=f"{len(content)} {bool(in_force)} {seconds}")

    monkeypatch.setattr(private_api, "check_policy", check)
    first = asyncio.create_task(service.http.post("/policy/check", json={"text": ""}))
    await asyncio.to_thread(begun.wait, 10)
    second = await service.http.post("/policy/check", json={"text": ""})
    finish.set()
    answer = await (await first).json()

    assert (second.status, second.headers["Retry-After"]) == (429, "5")
    assert answer["scope"] == "0 True 8.0"


async def test_metrics_begin_at_zero_and_count(service: Service) -> None:
    """Label sets are there before anything happened; a run, its requests and its files are counted."""
    before = await (await service.http.get("/metrics")).text()
    await service.running.sync()
    after = await (await service.http.get("/metrics")).text()

    assert 'pypi_mirror_runs_total{kind="sync",outcome="failed"} 0.0' in before
    assert 'pypi_mirror_runs_total{kind="sync",outcome="incomplete"} 1.0' in after
    assert 'pypi_mirror_transfers_total{kind="file",outcome="fetched"} 2.0' in after
    # A first 404 has the index looked for at two more places.
    assert re.search(r'pypi_mirror_upstream_requests_total\{code="404",endpoint="page"\} [1-3]\.0', after)
    assert 'pypi_mirror_projects{state="failing"} 1.0' in after
    assert "pypi_mirror_next_run_timestamp_seconds" in after


async def test_forcing_everything_wants_a_confirmation(service: Service, site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With scope everything a forced whole sync is a 409 with the number of requests; confirmed, or named, it goes."""
    pypi.index.project("toml").upload("1.0")
    site.everything()
    await service.running.sync()
    refused = await service.http.post("/runs", json={"kind": "sync", "force": True})
    body = await refused.json(content_type=None)
    named = await service.http.post("/runs", json={"kind": "sync", "force": True, "projects": ["six"]})
    confirmed = await service.http.post("/runs", json={"kind": "sync", "force": True, "confirm": True})

    assert (refused.status, body["requests"], refused.content_type) == (409, 3, "application/problem+json")
    assert "--confirm" in body["detail"]
    assert (named.status, confirmed.status) == (202, 202)
    for answer in (named, confirmed):
        await service.running.ended(Run.model_validate_json(await answer.read()))


async def test_status_with_everything(service: Service, site: Site) -> None:
    """With scope everything the status tells the mirror's serial and upstream's."""
    before = Status.model_validate_json(await (await service.http.get("/status")).read())
    site.everything()
    await service.running.sync()
    after = Status.model_validate_json(await (await service.http.get("/status")).read())

    assert (before.serial, before.upstream_serial) == (None, None)
    assert after.serial is not None
    assert (after.serial, after.scope) == (after.upstream_serial, "everything")


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8090"},
        {"Host": "10.1.2.3:8090"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_browser_is_refused(service: Service, headers: dict[str, str]) -> None:
    """A web page that its reader's own browser carries to this host reads nothing, and starts nothing."""
    read = await service.http.get("/status", headers=headers)
    asked = await service.http.post("/runs", data='{"kind": "sync"}', headers=headers | {"Content-Type": "text/plain"})

    assert (read.status, asked.status) == (403, 403)
    assert "use control's API in a browser" in await problem(asked)
    assert (await (await service.http.get("/runs")).json())["items"] == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8090", "[::1]:8090", "LOCALHOST:1"])
async def test_program_on_this_host_is_answered(service: Service, host: str) -> None:
    """Whoever names this host by its loopback is answered."""
    assert (await service.http.get("/status", headers={"Host": host})).status == 200


@pytest.mark.proves("reliability/status")
async def test_name_that_is_not_selected_is_refused(service: Service, site: Site) -> None:
    """A sync of what mirror.toml does not select is a 422 that points to each such name; with everything, all are."""
    wanted = {"kind": "sync", "projects": ["six", "leftpad", "a", "b", "c"]}
    refused = await service.http.post("/runs", json=wanted)
    body = await refused.json(content_type=None)
    assert refused.status == 422
    assert body["detail"].startswith("leftpad, a, b and 1 more are not selected: give each of them a line in")
    assert [error["pointer"] for error in body["errors"]] == [f"#/projects/{place}" for place in (1, 2, 3, 4)]
    assert (await service.http.post("/runs", json={"kind": "verify", "projects": ["leftpad"]})).status == 202

    site.select("six", "leftpad", "a", "b", "c")
    assert (await service.http.post("/runs", json=wanted)).status == 202, "a line that was just added counts"
    site.everything()
    assert (await service.http.post("/runs", json=wanted | {"force": True})).status == 202


@pytest.mark.proves("reliability/status")
async def test_run_that_cannot_be_read_fails_no_list(service: Service) -> None:
    """A run of the catalog that no longer parses is passed over and logged; lists go on past it, and so does status."""
    runs = [await service.running.sync("six") for _ in range(5)]
    catalog = service.running.mirror.catalog
    with catalog.runs._engine.begin() as connection:
        for broken, document in ((runs[1], "{}"), (runs[3], "no JSON"), (runs[4], '{"id": 7}')):
            connection.execute(run_table.update().where(run_table.c.id == broken.id).values(document=document))

    with capture_logs() as logged:
        whole = await (await service.http.get("/runs")).json()
        first = await (await service.http.get("/runs?limit=1")).json()
        rest = await (await service.http.get(f"/runs?limit=1&after={first['next']}")).json()
        gone = await service.http.get(f"/runs/{runs[1].id}")
        status = await service.http.get("/status")

    assert [item["id"] for item in whole["items"]] == [runs[2].id, runs[0].id]
    assert [item["id"] for item in first["items"] + rest["items"]] == [runs[2].id, runs[0].id]
    assert rest["next"] is None
    assert (gone.status, status.status) == (404, 200)
    told = [line["run"] for line in logged if "unreadable run" in line["event"]]
    assert sorted(told) == sorted(broken.id for broken in (runs[1], runs[3], runs[4]))
    assert (await service.running.sync("six")).state is RunState.SUCCEEDED
