"""What the API tells about a run beyond its counts: changed projects, phases, the projects in hand, and its search."""

import asyncio
import re

import pytest

import fakepypi
from mirror_contract import Failure, PolicyFile, Run, RunChange, RunKind, RunRequest, RunState, Status, Trigger
from mirror_syncer.runs.report import RunReport
from syncer.service.conftest import Serve
from syncer.site import Site


async def test_run_says_what_it_changed(site: Site, pypi: fakepypi.FakePyPI, serve: Serve) -> None:
    """A run names the projects that it changed, with their newest version and their downloads, and its phases."""
    pypi.index.project("six").upload("1.0")
    pypi.index.project("idna").upload("3.0")
    site.select("six", "idna")
    async with serve() as service:
        first = await service.running.sync()
        assert {one.project: (one.newest_version, one.files_fetched) for one in first.changes} == {
            "six": ("1.0", 2),
            "idna": ("3.0", 2),
        }
        assert list(first.phases) == ["plan", "resolve", "withdraw", "transfer", "publish", "collect"]
        assert first.phases["transfer"] > 0
        pypi.index.project("six").upload("2.0")
        second = await service.running.sync()
        size = second.counts.bytes_fetched
        assert size > 0
        assert second.changes == [RunChange(project="six", newest_version="2.0", files_fetched=2, bytes_fetched=size)]
        assert (await service.running.sync()).changes == []
        site.select("six")
        third = await service.running.sync()
        assert [(one.project, one.withdrawn) for one in third.changes] == [("idna", True)]


async def test_runs_are_found_by_project(site: Site, pypi: fakepypi.FakePyPI, serve: Serve) -> None:
    """Runs that name, changed or failed a project are found by its name, and no reason that quotes it misleads."""
    pypi.index.project("six").upload("1.0")
    site.select("six", "no-such-project")
    async with serve() as service:
        whole = await service.running.sync()
        named = await service.running.sync("six")
        quoting = Run(
            id="20200101T000000000-000000",
            request=RunRequest(kind=RunKind.VERIFY),
            trigger=Trigger.CLI,
            state=RunState.INCOMPLETE,
            created_at=whole.created_at,
            failures=[Failure(project="idna", reason='"project":"six" and "projects":["six"]')],
        )
        service.running.mirror.catalog.runs.add(quoting)

        async def found(query: str) -> list[str]:
            runs, _ = await service.read_list(f"/runs?{query}", Run)
            return [run.id for run in runs]

        assert await found("project=six") == [named.id, whole.id]
        assert await found("project=Six&kind=sync&limit=1") == [named.id]
        assert await found("project=no-such-project") == [whole.id]
        assert await found("project=no-such") == []
        assert (await service.http.get("/runs?project=.")).status == 422


async def test_status_names_the_projects_in_hand(site: Site, pypi: fakepypi.FakePyPI, serve: Serve) -> None:
    """While a project is refreshed, the status names it."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with serve() as service:
        seen: list[list[str]] = []
        queue = service.running.mirror.engine.context.queue
        finish = queue.done

        async def look(task: object) -> None:
            seen.append(Status.model_validate_json(await (await service.http.get("/status")).read()).in_hand)
            await finish(task)  # type: ignore[arg-type]

        queue.done = look  # type: ignore[method-assign]
        await service.running.sync()
        assert ["six"] in seen
        queue.done = finish  # type: ignore[method-assign]
        status = Status.model_validate_json(await (await service.http.get("/status")).read())
        assert status.in_hand == []


async def test_policy_is_told_in_words_and_whole(site: Site, pypi: fakepypi.FakePyPI, serve: Serve) -> None:
    """The status says in words what the policy in force says, and when it was read; one call has its text."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    with site.policy.open("a") as file:
        file.write('\n[age]\nmin = "7d"\n\n[block]\nprojects = ["evil"]\n')
    async with serve() as service:
        status = Status.model_validate_json(await (await service.http.get("/status")).read())
        assert status.policy is not None
        assert status.policy.read_at is not None
        facts = {fact.about: fact.text for fact in status.policy.facts}
        assert facts["scope"] == "only what lines select"
        assert facts["lines"].startswith("1 project named")
        assert facts["age"].startswith("files wait 7 days")
        assert facts["blocks"] == "1 name or pattern"
        assert not re.search("six|evil", str(facts)), "the status is open to all, and names may be private"
        told = PolicyFile.model_validate_json(await (await service.http.get("/policy")).read())
        assert told.text == site.policy.read_text()
        site.policy.write_text("nonsense")
        await asyncio.to_thread(service.running.mirror.policy.reload)
        told = PolicyFile.model_validate_json(await (await service.http.get("/policy")).read())
        assert "evil" in told.text, "the last good one is in force"
        assert told.state.problems
        assert told.state.read_at == status.policy.read_at


@pytest.mark.parametrize("number", [99, 100, 3_000])
def test_changes_of_a_run_are_bounded(number: int) -> None:
    """A run's document names at most a hundred changed projects, each once: what it removed, and what grew most."""
    document = Run(
        id="20200101T000000000-000000",
        request=RunRequest(kind=RunKind.SYNC),
        trigger=Trigger.CLI,
        state=RunState.RUNNING,
        created_at="2026-11-22T16:12:33Z",
    )
    report = RunReport(document)
    for step in range(2):
        for place in range(number):
            change = RunChange(project=f"p{place}", newest_version=str(step), files_fetched=1, bytes_fetched=place)
            report.add_change(change)
    report.add_change(RunChange(project="gone", withdrawn=True))
    report.add_change(RunChange(project="small", bytes_fetched=0))
    assert len(document.changes) == min(number + 2, 100)
    assert RunChange(project="gone", withdrawn=True) in document.changes
    largest = RunChange(project=f"p{number - 1}", newest_version="1", files_fetched=2, bytes_fetched=2 * number - 2)
    assert largest in document.changes
    grown = [change.bytes_fetched for change in document.changes if not change.withdrawn]
    assert min(grown) >= (2 * (number - 99) if number > 100 else 0)
