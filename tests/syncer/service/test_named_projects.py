"""Questions about named projects: which of them are here, why others are not, and which runs name one."""

from datetime import UTC, datetime

import pytest

import fakepypi
from mirror_contract import Failure, Project, Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import run_log
from syncer.requiring import upload
from syncer.service.conftest import Serve, Service
from syncer.site import Site

NOW = datetime(2026, 11, 22, 16, tzinfo=UTC)


def log(service: Service, number: int, *, projects: tuple[str, ...] | None = None, failed: str | None = None) -> str:
    """Store a run that ended, and return its id."""
    run = Run(
        id=f"20261122T1612{number:02}000-3fa9c1",
        request=RunRequest(kind=RunKind.SYNC, projects=projects),
        trigger=Trigger.API,
        state=RunState.INCOMPLETE if failed else RunState.SUCCEEDED,
        created_at=NOW,
        finished_at=NOW,
        failures=[Failure(project=failed, reason='upstream says "lib"')] if failed else [],
    )
    service.running.mirror.catalog.runs.add(run)
    return run.id


async def test_named_projects_are_listed_with_reasons_of_the_absent(
    serve: Serve, site: Site, pypi: fakepypi.FakePyPI
) -> None:
    """A request that names projects returns those that are here in its order, and why each other one is not."""
    upload(pypi, "app 1.0", "lib 1.0")
    site.policy.write_text('[mirror]\nprojects = ["app", "lib"]\n[block]\nprojects = ["evil"]\n')
    async with serve() as service:
        await service.running.sync()
        query = "?name=Lib&name=evil&name=nobody&name=app&name=lib"
        answer = await (await service.http.get(f"/projects{query}")).json()
        current, _ = await service.read_list(f"/projects{query}&state=failing", Project)
        many = await service.http.get("/projects?" + "&".join(f"name=p{n}" for n in range(101)))
        odd = await service.http.get("/projects?name=-x")
    assert [item["name"] for item in answer["items"]] == ["lib", "app"]
    assert (answer["absent"], answer["next"]) == ({"evil": "blocked", "nobody": "unselected"}, None)
    assert current == []
    assert (many.status, odd.status) == (422, 422)


async def test_runs_that_name_a_project_are_found(
    serve: Serve, site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs whose request or failures name a project are found, newest first; a name within a reason is none."""
    upload(pypi, "app 1.0")
    site.policy.write_text('[mirror]\nprojects = ["app"]\n')
    async with serve() as service:
        asked = log(service, 1, projects=("lib", "app"))
        log(service, 2, failed="app")
        failed = log(service, 3, failed="lib")
        log(service, 4)
        found, _ = await service.read_list("/runs?project=Lib", Run)
        first, following = await service.read_list("/runs?project=lib&limit=1", Run)
        rest, end = await service.read_list(f"/runs?project=lib&limit=1&after={following}", Run)
        monkeypatch.setattr(run_log, "_MAX_SEARCHED_RUNS", 2)
        latest, _ = await service.read_list("/runs?project=lib", Run)
        invalid = await service.http.get("/runs?project=-x")
    assert [run.id for run in found] == [failed, asked]
    assert [run.id for run in (*first, *rest)] == [failed, asked]
    assert end is None
    assert [run.id for run in latest] == [failed]
    assert invalid.status == 422


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize("word", ["kind", "sync", "projects"])
async def test_search_for_a_word_of_every_run_reads_each_once(
    serve: Serve, site: Site, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """A search for a name that stands in every run's document reads each of the latest once, however it filters."""
    read, parse = list[str](), run_log._parse

    def count(document: str, *, identifier: str) -> Run | None:
        read.append(identifier)
        return parse(document, identifier=identifier)

    site.select("lib")
    async with serve() as service:
        for number in range(40):
            log(service, number, projects=("lib",))
        monkeypatch.setattr(run_log, "_parse", count)
        monkeypatch.setattr(run_log, "_MAX_SEARCHED_RUNS", 30)
        every = "".join(f"&state={one}" for one in RunState) + "".join(f"&trigger={one}" for one in Trigger)
        found, _ = await service.read_list(f"/runs?project={word}&limit=1{every}", Run)
    assert found == []
    assert len(read) == len(set(read)) <= 30
