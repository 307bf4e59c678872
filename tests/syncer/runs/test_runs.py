"""Runs: equal requests share one run, and a restart resumes every unfinished run."""

import asyncio

import pytest
from apscheduler.triggers.cron import CronTrigger

import fakepypi
from mirror_contract import RunKind, RunRequest, RunState, Trigger
from mirror_syncer.errors import KeyReusedError
from mirror_syncer.service.timetable import Timetable
from syncer.site import Site

WHOLE = RunRequest(kind=RunKind.SYNC)


async def test_equal_requests_share_a_queued_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A request that equals a queued run's request returns that run."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    gate = pypi.faults.on_page("six").gate()
    async with site.running() as running:
        under_way = running.ask(RunKind.SYNC)
        await gate.arrival()
        first = running.ask(RunKind.SYNC, force=True)
        second = running.ask(RunKind.SYNC, force=True)
        other = running.ask(RunKind.VERIFY)
        gate.open()
        await running.ended(other)

    assert first.id == second.id
    assert len({under_way.id, first.id, other.id}) == 3


@pytest.mark.proves("reliability/time-and-order")
async def test_schedule_during_a_long_run_queues_one_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A schedule that fires repeatedly during a long run queues one run, which starts when the long run ends."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    gate = pypi.faults.on_page("six").times(1).gate()
    fired, again = asyncio.Event(), asyncio.Event()
    waiting = set[str]()
    async with site.running() as running:

        def fire() -> None:
            waiting.add(running.mirror.runs.request(WHOLE, trigger=Trigger.SCHEDULE).id)
            (again if fired.is_set() else fired).set()

        under_way = running.ask(RunKind.SYNC)
        await gate.arrival()
        every_second = CronTrigger(second="*", timezone="UTC")
        timetable = Timetable(every_second, sync=fire, paused=False)
        timetable.start()
        async with asyncio.timeout(60):
            await fired.wait()
            await again.wait()
        timetable.stop()
        pypi.index.project("six").upload("2.0")
        gate.open()
        first = await running.ended(under_way)
        (identifier,) = waiting
        later = running.mirror.runs.get(identifier)
        assert later is not None
        second = await running.ended(later)

    assert first.finished_at is not None
    assert second.started_at is not None
    assert first.finished_at <= second.started_at
    assert (first.state, second.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert "six-2.0.tar.gz" in site.filenames("six")
    site.assert_whole()


async def test_repeated_idempotency_key_returns_its_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A request repeated with its idempotency key returns the same run, even after that run has ended."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        runs = running.mirror.runs
        made = runs.request(WHOLE, trigger=Trigger.API, idempotency_key="a")
        await running.ended(made)
        again = runs.request(WHOLE, trigger=Trigger.API, idempotency_key="a")
        other = runs.request(WHOLE, trigger=Trigger.API, idempotency_key="b")

        with pytest.raises(KeyReusedError):
            runs.request(WHOLE.model_copy(update={"force": True}), trigger=Trigger.API, idempotency_key="a")

    assert again.id == made.id
    assert again.state is RunState.SUCCEEDED
    assert other.id != made.id


async def test_stopped_run_resumes_without_repeating_requests(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A stopped run resumes after the next start and requests nothing again."""
    names = [f"project-{number}" for number in range(6)]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    gates = {name: pypi.faults.on_page(name).gate() for name in names[3:]}
    async with site.running(connections=4) as running:
        run = running.ask(RunKind.SYNC)
        async with asyncio.timeout(60):
            await asyncio.gather(*(gate.arrival() for gate in gates.values()))
            await site.pages_become(names[:3])
        running.mirror.engine.stop()
        for gate in gates.values():
            gate.open()
    pypi.log.forget()

    async with site.running() as running:
        running.mirror.runs.restore()
        ended = await running.ended(run)

    assert (ended.state, ended.counts.projects_done) == (RunState.SUCCEEDED, 6)
    assert pypi.log.paths() == []
    site.assert_whole()


async def test_run_of_a_killed_engine_resumes_unfinished_projects(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The run of a killed engine resumes, and downloads files of unfinished projects only."""
    for name in ("done", "held"):
        pypi.index.project(name).upload("1.0")
    site.select("done", "held")
    gate = pypi.faults.on_file("held-1.0.tar.gz").times(1).gate()
    async with site.running() as running:
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        await site.pages_become(["done"])
        running.mirror.engine.stop(grace_seconds=0)
    pypi.log.forget()

    async with site.running() as running:
        running.mirror.runs.restore()
        ended = await running.ended(run)

    assert ended.state is RunState.SUCCEEDED
    assert {path.split("/")[-1].partition("-")[0] for path in pypi.log.paths() if "packages" in path} == {"held"}
    assert site.pages() == ["done", "held"]
    site.assert_whole()


async def test_runs_are_listed_newest_first(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """The run log lists runs page by page, from the newest to the oldest."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        made = [(await running.sync()).id for _ in range(5)]
        log = running.mirror.catalog.runs
        first = [run.id for run in log.page(limit=3)]
        rest = [run.id for run in log.page(limit=3, before=first[-1])]

    assert first + rest == made[::-1]
