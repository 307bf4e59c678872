"""A verify goes on where it stopped, holds nobody up, and reads no faster than it may."""

import asyncio
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import Run, RunKind, RunState
from mirror_syncer.service.process import request_verify
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob
from mirror_syncer.work.pool import WorkerHandle
from mirror_syncer.work.rate_limit import RateLimit
from syncer.site import Running, Site

BIG = 3_000_000  # bytes
SLOW = "200kB"  # a second: fifteen of them for the big file


@pytest.fixture
async def three(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror of a damaged project, then one with a large file, then a small one, in the order of a verify."""
    for name, padding in (("alpha", 0), ("big", BIG), ("omega", 0)):
        pypi.index.project(name).upload("1.0", wheel=False, padding=padding)
    site.select("alpha", "big", "omega")
    await site.sync()
    file(site, "alpha").write_bytes(b"rotten")
    return site


def file(site: Site, name: str) -> Path:
    """Return where a project's only file lies."""
    (place,) = site.published(name).places.values()
    return site.web / place


async def at_work(running: Running, run: Run, *, done: int) -> None:
    """Wait until a run has so many projects behind it; its document tells nobody."""
    active = running.mirror.runs.active(run.id)
    assert active is not None
    async with asyncio.timeout(10):
        while active.document.counts.projects_done < done:  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.01)


@pytest.mark.proves("reliability/time-and-order")
async def test_verify_goes_on_where_it_stopped(three: Site) -> None:
    """A restarted verify looks at nothing twice, and neither its counts nor what it found is forgotten."""
    async with three.running(verify_bandwidth=SLOW) as running:
        run = running.ask(RunKind.VERIFY)
        await at_work(running, run, done=2)
        running.mirror.engine.stop(grace_seconds=0)
    three.sql("UPDATE project SET changed_at = 1 WHERE name = 'alpha'")
    file(three, "omega").write_bytes(b"rotten since it was looked at")

    async with three.running() as running:
        running.mirror.runs.restore()
        ended = await running.ended(run)

    assert ended.id == run.id
    assert (ended.state, [failure.project for failure in ended.failures]) == (RunState.INCOMPLETE, ["alpha"])
    counts = ended.counts
    assert (counts.projects_planned, counts.projects_done, counts.files_verified, counts.files_damaged) == (3, 3, 3, 1)
    assert "mirrorctl verify --repair" in (ended.message or "")


async def test_next_verify_begins_anew(three: Site) -> None:
    """What one verify has behind it, the next one looks at again."""
    async with three.running() as running:
        first = await running.verify()
        file(three, "omega").unlink()
        second = await running.verify()

    assert [failure.project for failure in first.failures] == ["alpha"]
    assert sorted(failure.project or "" for failure in second.failures) == ["alpha", "omega"]
    assert second.counts.files_verified == 3


async def test_publication_keeps_the_mark(three: Site, pypi: fakepypi.FakePyPI) -> None:
    """A project that is published anew while a verify is interrupted counts as verified all the same."""
    async with three.running(verify_bandwidth=SLOW) as running:
        run = running.ask(RunKind.VERIFY)
        await at_work(running, run, done=2)
        running.mirror.engine.stop(grace_seconds=0)
    pypi.index.project("omega").upload("1.1", wheel=False)
    await three.sync("omega")

    async with three.running() as running:
        running.mirror.runs.restore()
        ended = await running.ended(run)

    assert ended.counts.files_verified == 3


@pytest.mark.parametrize("name", ["omega", "big"])
async def test_sync_does_not_wait_for_a_slow_verify(three: Site, pypi: fakepypi.FakePyPI, name: str) -> None:
    """A sync that a person names a project to ends within seconds, be it the one that is being hashed for a minute."""
    pypi.index.project(name).upload("1.1", wheel=False)
    async with three.running(verify_bandwidth=SLOW) as running:
        verify = running.ask(RunKind.VERIFY)
        await at_work(running, verify, done=2)
        began = time.monotonic()
        run = await running.sync(name)
        seconds = time.monotonic() - began
        active = running.mirror.runs.active(verify.id)
        assert active is not None, "the verify is still under way"
        await running.mirror.engine.cancel(active)
        cancelled = await running.ended(verify)

    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 1)
    assert seconds < 5
    assert cancelled.state is RunState.CANCELLED


async def test_page_that_changes_meanwhile_is_looked_at_anew(three: Site, pypi: fakepypi.FakePyPI) -> None:
    """What leaves a page, disk and all, while its project is being hashed is not missed; what came is hashed, too."""
    pypi.index.project("big").upload("2.0", wheel=False)
    await three.sync("big")
    (second,) = (three.web / place for name, place in three.published("big").places.items() if "2.0" in name)
    pypi.index.project("big").delete_release("2.0")
    pypi.index.project("big").upload("3.0", wheel=False)
    async with three.running(verify_bandwidth="2MB") as running:
        verify = running.ask(RunKind.VERIFY, "big")
        await asyncio.sleep(0.6)
        sync = await running.sync("big")
        second.unlink()
        ended = await running.ended(verify)

    assert sync.state is RunState.SUCCEEDED
    assert (ended.state, ended.failures, ended.counts.files_verified) == (RunState.SUCCEEDED, [], 2)
    assert ended.counts.bytes_verified < 2 * BIG, "what was found right is not hashed twice"


@pytest.mark.proves("reliability/soak")
async def test_project_that_is_withdrawn_meanwhile_is_not_damaged(three: Site) -> None:
    """A page that was taken away on purpose, since the verify was told of it, is no damage: only the rotten file is."""
    async with three.running(verify_bandwidth=SLOW) as running:
        run = running.ask(RunKind.VERIFY)
        await at_work(running, run, done=2)
        three.select("alpha", "omega")
        await running.sync()
        ended = await running.ended(run)

    assert three.pages() == ["alpha", "omega"]
    assert [failure.project for failure in ended.failures] == ["alpha"]
    assert (ended.counts.projects_done, ended.counts.files_damaged) == (3, 1)


async def test_few_wait_at_a_time(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """However many projects there are, no more than a few of a verify's are in the queue at once."""
    names = [f"project-{number:03}" for number in range(120)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    deepest = 0
    async with site.running() as running:
        run = running.ask(RunKind.VERIFY)
        active = running.mirror.runs.active(run.id)
        assert active is not None
        while not active.ended.is_set():
            deepest = max(deepest, active.progress.tasks_left)
            await asyncio.sleep(0)

    assert active.document.counts.projects_done == 120
    assert 0 < deepest <= 64


@asynccontextmanager
async def verified_by_a_process(site: Site, *, bandwidth: str) -> AsyncIterator[tuple[Running, int]]:
    """Run a mirror whose inspections all run in one worker process; yield its id, too."""
    async with site.running(workers=2, verify_bandwidth=bandwidth) as running:
        worker_pool = running.mirror.worker_pool
        (process,) = worker_pool._to_start
        worker_pool._to_start.clear()
        await process.start()
        worker_pool._active_jobs = {process: 0}
        assert process._process is not None
        yield running, process._process.pid


async def test_processes_find_what_threads_find(three: Site) -> None:
    """A process looks in slices and within the bandwidth, all of it where it is alone, and tells what a thread does."""
    async with verified_by_a_process(three, bandwidth="3MB") as (running, _):
        began = time.monotonic()
        ended = await running.verify()
        seconds = time.monotonic() - began

    assert (ended.counts.files_verified, ended.counts.files_damaged) == (3, 1)
    assert [failure.project for failure in ended.failures] == ["alpha"]
    assert 0.8 < seconds < 1.6  # 3 MB


async def test_process_that_dies_costs_what_it_was_looking_at(three: Site) -> None:
    """Where the kernel kills a process that hashes, its project fails by name, and the next look starts another."""
    async with verified_by_a_process(three, bandwidth=SLOW) as (running, pid):
        run = running.ask(RunKind.VERIFY)
        await at_work(running, run, done=2)
        os.kill(pid, signal.SIGKILL)
        ended = await running.ended(run)
        again = await running.verify("omega")

    assert (ended.state, again.state) == (RunState.INCOMPLETE, RunState.SUCCEEDED)
    assert sorted(failure.project or "" for failure in ended.failures) == ["alpha", "big"]
    assert any("the worker process died" in failure.reason for failure in ended.failures)
    assert (ended.message or "").startswith("1 project(s) could not be verified")


async def test_all_workers_look_and_share_the_bandwidth(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Much to look at is looked at by all workers, each look to its end where it began, within the bandwidth."""
    names = [f"project-{number}" for number in range(8)]
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=False, padding=200_000)
    site.select(*names)
    await site.sync()
    workers: defaultdict[str, set[int]] = defaultdict(set)
    shares = set()
    async with site.running(workers=2, verify_bandwidth="3200kB") as running:
        worker_pool = running.mirror.worker_pool
        await worker_pool._add(worker_pool._to_start.pop())
        inspect = worker_pool.inspect

        async def observe(job: InspectionJob, *, worker: WorkerHandle) -> InspectionResult | None:
            workers[job.name].add(id(worker))
            shares.add(job.bandwidth)
            return await inspect(job, worker=worker)

        worker_pool.inspect = observe  # type: ignore[method-assign]
        ended = await running.verify()

    assert (ended.state, ended.counts.files_verified) == (RunState.SUCCEEDED, 8)
    assert {len(places) for places in workers.values()} == {1}
    assert len(set.union(*workers.values())) == 2
    assert shares == {3_200_000, 1_600_000}, "all of it while one looks, half of it when both do"


async def test_cancelled_verify_leaves_nothing_at_a_desk(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What waits for its next slice when a verify is cancelled is forgotten, and takes no share of the bandwidth."""
    names = [f"project-{number}" for number in range(4)]
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=False, padding=BIG)
    site.select(*names)
    await site.sync()
    async with site.running(connections=1, verify_bandwidth=SLOW) as running:
        run = running.ask(RunKind.VERIFY)
        looks = running.mirror.engine._verifier._active
        async with asyncio.timeout(10):
            while len(looks) < 3:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        inspector = next(iter(looks.values()))._inspector  # type: ignore[attr-defined] # the only worker is in this process
        active = running.mirror.runs.active(run.id)
        assert active is not None
        await running.mirror.engine.cancel(active)
        ended = await running.ended(run)

    assert ended.state is RunState.CANCELLED
    assert (looks, inspector._inspections) == ({}, {})


async def test_nothing_is_verified_soon(site: Site) -> None:
    """A mirror that holds nothing is verified at once."""
    site.select("six")
    async with site.running() as running:
        run = await running.verify()

    assert (run.state, run.counts.projects_planned, run.message) == (RunState.SUCCEEDED, 0, None)


async def test_what_is_not_mirrored_is_told(three: Site) -> None:
    """A verify of a project that is not here says so, and looks at the others."""
    async with three.running() as running:
        run = await running.verify("omega", "nothing")

    assert (run.state, run.counts.files_verified) == (RunState.INCOMPLETE, 1)
    assert [(failure.project, failure.reason) for failure in run.failures] == [
        ("nothing", "not mirrored, so there is nothing to verify")
    ]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("form", ["index.html", "index.v1_json", "index.html.gz", "index.v1_json.gz"])
@pytest.mark.parametrize("gone", [False, True], ids=["rotten", "gone"])
async def test_damaged_list_is_found_and_mended(site: Site, pypi: fakepypi.FakePyPI, form: str, *, gone: bool) -> None:
    """A whole verify holds the project list against what was published; repair publishes it again."""
    names = [f"project-with-a-long-name-{number:03}" for number in range(60)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    path = site.web / "simple" / form
    before = path.read_bytes()
    path.unlink() if gone else path.write_bytes(before[:-20] + b"x" * 20)
    async with site.running() as running:
        found = await running.verify()
        mended = await running.verify(repair=True)
        again = await running.verify()

    twin_gone = gone and form.endswith(".gz")
    assert found.state is (RunState.SUCCEEDED if twin_gone else RunState.INCOMPLETE), "a twin may be absent"
    assert [failure.file for failure in found.failures] == ([] if twin_gone else [f"simple/{form}"])
    assert [mended.state, again.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert twin_gone or path.read_bytes() == before


async def test_scheduled_verify_comes_alone(three: Site) -> None:
    """By its schedule, a verify of the whole mirror runs that repairs nothing; none begins while one is under way."""
    async with three.running(verify_bandwidth="64kB") as running:
        request_verify(running.mirror)
        (first,) = running.mirror.runs.queued()
        await asyncio.sleep(0.05)
        request_verify(running.mirror)
        runs = [*running.mirror.runs.queued(), *running.mirror.runs.running()]

    assert [run.id for run in runs] == [first.id]
    assert (first.request.projects, first.request.repair, first.document.trigger) == (None, False, "schedule")


def test_throttle_is_shared() -> None:
    """Threads that read through one throttle get its rate together, each its share, and no burst after a pause."""
    rate_limit = RateLimit(1_000_000)
    rate_limit.take(1)
    time.sleep(0.2)

    both = threading.Barrier(2)

    def read(_: int) -> float:
        both.wait()
        for _ in range(4):
            rate_limit.take(rate_limit.piece // 2)
        return time.monotonic()

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        ends = [end - began for end in pool.map(read, range(2))]
    # 8 × 50,000 bytes: the last goes after 350,000, so 0.35 s; the other's last just before
    assert max(ends) == pytest.approx(0.35, abs=0.08)
    assert min(ends) == pytest.approx(0.30, abs=0.08)


def test_throttle_without_a_limit_waits_for_nobody() -> None:
    """No limit is no wait, and pieces that fit into a cache."""
    rate_limit = RateLimit(None)
    began = time.monotonic()
    for _ in range(1_000):
        rate_limit.take(2**30)
    assert time.monotonic() - began < 0.1
    assert rate_limit.piece == 2**18
