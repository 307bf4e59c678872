"""Runs: equal wishes are one, a restart forgets none, each ends as what it was."""

import asyncio

import pytest
from apscheduler.triggers.cron import CronTrigger

import fakepypi
from mirror_contract import RunKind, RunRequest, RunState, Trigger
from mirror_syncer.errors import KeyReusedError
from mirror_syncer.service.timetable import Timetable
from syncer.site import Site

WHOLE = RunRequest(kind=RunKind.SYNC)


async def test_equal_wish_that_waits_is_one_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A second equal request, while the first waits, is answered with the first."""
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
async def test_schedule_fires_during_a_run(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A schedule that fires again and again during a long run leaves one run that waits, and begins when it ends."""
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
        async with asyncio.timeout(10):
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


async def test_idempotency_key_replays(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A request repeated with its key is answered with the run that it made, though that has ended."""
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


async def test_stopped_run_goes_on_where_it_stopped(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that a stop interrupted goes on after the next start, and asks for nothing that it had done."""
    names = [f"project-{number}" for number in range(6)]
    for name in names:
        pypi.index.project(name).upload("1.0")
    site.select(*names)
    gates = {name: pypi.faults.on_page(name).gate() for name in names[3:]}
    async with site.running(connections=4) as running:
        run = running.ask(RunKind.SYNC)
        async with asyncio.timeout(10):
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


async def test_killed_engine_leaves_a_run_that_goes_on(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run whose process died with projects in hand goes on with those, and those alone."""
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
    """The log pages through runs by id, which sorts by time."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    async with site.running() as running:
        made = [(await running.sync()).id for _ in range(5)]
        log = running.mirror.catalog.runs
        first = [run.id for run in log.page(limit=3)]
        rest = [run.id for run in log.page(limit=3, before=first[-1])]

    assert first + rest == made[::-1]
