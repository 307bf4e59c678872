"""A thousand projects, some of them poisoned: one run makes all others current, and names each poisoned one."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient, TestServer

import fakepypi
from fakepypi.answer import Answer
from fakepypi.faults import Faults
from fakepypi.pages import Document
from mirror_contract import ProjectState, RunState, Status
from mirror_syncer.config.crontab import crontab
from mirror_syncer.service.private_api import PrivateApi
from mirror_syncer.service.status import StatusReader
from mirror_syncer.service.timetable import Timetable
from syncer.commands.test_cli import mirror_syncer
from syncer.site import IMPATIENT, Running, Site

pytestmark = pytest.mark.proves("reliability/upstream")

MANY = 1_000
BAD = "project-500"
NEXT_CENTURY = "Fri, 31 Dec 2100 23:59:59 GMT"
# Two attempts, and timeouts that a busy machine does not reach.
LIMITS = replace(IMPATIENT, attempts=2)


def body(content: bytes) -> Callable[[object, Answer], None]:
    """Answer with these bytes, as a page in JSON."""

    def change(_: object, answer: Answer) -> None:
        answer.body = content
        answer.headers.popall("Content-Encoding", None)

    return change


def nested(document: Document) -> None:
    """Nest an entry deeper than any parser can follow."""
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    document["files"][0]["hashes"] = deep


Poison = Callable[[Faults, str], object]
# What a page or a file may be; each costs only its own project.
POISONS: dict[str, Poison] = {
    "answers 401": lambda faults, name: faults.on_page(name).status(401),
    "answers 403": lambda faults, name: faults.on_page(name).status(403),
    "answers 418": lambda faults, name: faults.on_page(name).status(418),
    "answers 429": lambda faults, name: faults.on_page(name).status(429, retry_after=0),
    "answers 500": lambda faults, name: faults.on_page(name).status(500),
    "answers 503 for an hour": lambda faults, name: faults.on_page(name).status(503, retry_after=3600),
    "answers 503 for ever": lambda faults, name: faults.on_page(name).status(503, retry_after=NEXT_CENTURY),
    "is silent": lambda faults, name: faults.on_page(name).gate(),
    "drips": lambda faults, name: faults.on_page(name).drip(every=0.1),
    "breaks off": lambda faults, name: faults.on_page(name).cut(),
    "is reset": lambda faults, name: faults.on_page(name).reset(),
    "never ends": lambda faults, name: faults.on_page(name).endless(limit=2**22),
    "is half a gzip": lambda faults, name: faults.on_page(name).shortened(),
    "is no gzip": lambda faults, name: faults.on_page(name).broken_gzip(),
    "is a login form": lambda faults, name: faults.on_page(name).login_page(),
    "is noise": lambda faults, name: faults.on_page(name).change(body(bytes(range(256)))),
    "is nested without end": lambda faults, name: faults.on_page(name).change(body(b"[" * 100_000)),
    "nests an entry": lambda faults, name: faults.on_page(name).edit(nested),
    "is another's": lambda faults, name: faults.on_page(name).named("/etc/x"),
    "is of tomorrow": lambda faults, name: faults.on_page(name).edit(
        lambda page: page.update(meta={"api-version": "2"})
    ),
    "redirects to itself": lambda faults, name: faults.on_page(name).redirect_loop(),
    "redirects elsewhere": lambda faults, name: faults.on_page(name).redirect("http://127.0.0.3:9/"),
    "redirects to a file": lambda faults, name: faults.on_page(name).redirect("file:///etc/passwd"),
    "has files elsewhere": lambda faults, name: faults.on_page(name).file_url("http://127.0.0.3:9/"),
    "has files that climb": lambda faults, name: faults.on_page(name).file_url("/packages/%2e%2e/etc/passwd"),
    "lies of hashes": lambda faults, name: faults.on_page(name).wrong_hash(),
    "lies of sizes": lambda faults, name: faults.on_page(name).wrong_size(),
    "lacks its files": lambda faults, name: faults.on_file(project=name).status(404),
    "has files that rot": lambda faults, name: faults.on_file(project=name).corrupt(),
    "has files that break off": lambda faults, name: faults.on_file(project=name).cut(),
    "has files that are reset": lambda faults, name: faults.on_file(project=name).reset(),
    "has files that never end": lambda faults, name: faults.on_file(project=name).endless(limit=2**22),
    "has files that drip": lambda faults, name: faults.on_file(project=name).drip(every=0.1),
}


def thousand(site: Site, pypi: fakepypi.FakePyPI) -> list[str]:
    """Upload a thousand projects, and select all of them."""
    names = [f"project-{number:03}" for number in range(MANY)]
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=False)
    site.everything()
    return names


async def published_status(running: Running) -> tuple[Status, str]:
    """Return what control receives: the status and the metrics."""
    timetable = Timetable(crontab("*/30 * * * *", time_zone="UTC"), sync=lambda: None, paused=False)
    timetable.start()
    api = PrivateApi(running.mirror, StatusReader(running.mirror, timetable))
    async with TestClient(TestServer(api.application())) as http:
        status = Status.model_validate_json(await (await http.get("/status")).read())
        metrics = await (await http.get("/metrics")).text()
    timetable.stop()
    return status, metrics


@pytest.mark.slow
async def test_all_poisons_among_a_thousand_projects_cost_only_their_own(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All kinds of poison at once leave every other project current; run, status and metrics name each poisoned one."""
    monkeypatch.setattr("mirror_syncer.upstream.http.exchange._PATIENCE_SECONDS", 3)
    names = thousand(site, pypi)
    poisoned = dict(zip(names[7 :: MANY // len(POISONS)], POISONS.items(), strict=False))
    assert len(poisoned) == len(POISONS)
    for name, (_, poison) in poisoned.items():
        poison(pypi.faults, name)
    async with site.running(limits=LIMITS) as running:
        run = await running.sync()
        rows = {name: running.row(name) for name in names}
        status, metrics = await published_status(running)

    surviving = {kind for name, (kind, _) in poisoned.items() if rows[name].state is ProjectState.CURRENT}
    assert surviving == set()
    assert {name for name in names if rows[name].state is not ProjectState.CURRENT} == set(poisoned)
    assert site.pages() == sorted(set(names) - set(poisoned))
    assert (run.state, run.counts.projects_failed) == (RunState.INCOMPLETE, len(poisoned))
    assert {failure.project for failure in run.failures} == set(poisoned)
    assert {project.name for project in status.failing} <= set(poisoned)
    assert status.projects[ProjectState.FAILING] == len(poisoned)
    assert f'pypi_mirror_projects{{state="failing"}} {len(poisoned)}.0' in metrics
    assert f'pypi_mirror_projects{{state="current"}} {MANY - len(poisoned)}.0' in metrics


@pytest.mark.proves("security/upstream")
async def test_one_bad_file_among_a_thousand_projects_is_named(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """One bad file makes `sync` exit with 3 and name it; 999 projects are current; status and metrics show it."""
    names = thousand(site, pypi)
    pypi.faults.on_file(project=BAD).corrupt()

    done = await mirror_syncer(site, "sync")
    async with site.running() as running:
        status, metrics = await published_status(running)

    run = json.loads(done.out)
    assert (done.code, run["state"]) == (3, "incomplete")
    assert [(failure["project"], failure["file"]) for failure in run["failures"]] == [(BAD, "project_500-1.0.tar.gz")]
    assert site.pages() == [name for name in names if name != BAD]
    assert [project.name for project in status.failing] == [BAD]
    assert (status.projects[ProjectState.CURRENT], status.projects[ProjectState.FAILING]) == (MANY - 1, 1)
    assert 'pypi_mirror_projects{state="failing"} 1.0' in metrics
