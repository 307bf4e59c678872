"""A verify resumes where it stopped, delays no other run, and reads no faster than allowed."""

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

LARGE_BYTES = 3_000_000
SLOW_BANDWIDTH = "200kB"  # per second: the large file takes 15 s


@pytest.fixture
async def three(site: Site, pypi: fakepypi.FakePyPI) -> Site:
    """A mirror with a corrupt project, one with a large file and a small one, in the order of a verify."""
    for name, padding in (("alpha", 0), ("big", LARGE_BYTES), ("omega", 0)):
        pypi.index.project(name).upload("1.0", wheel=False, padding=padding)
    site.select("alpha", "big", "omega")
    await site.sync()
    only_file(site, "alpha").write_bytes(b"rotten")
    return site


def only_file(site: Site, name: str) -> Path:
    """Return the path of a project's only file."""
    (place,) = site.published(name).places.values()
    return site.web / place


async def wait_for_progress(running: Running, run: Run, *, done: int) -> None:
    """Wait until a run has finished this many projects; it sends no events, so poll it."""
    active = running.mirror.runs.active(run.id)
    assert active is not None
    async with asyncio.timeout(60):
        while active.document.counts.projects_done < done:  # noqa: ASYNC110 - polls, as above
            await asyncio.sleep(0.01)


@pytest.mark.proves("reliability/time-and-order")
async def test_stopped_verify_resumes_where_it_stopped(three: Site) -> None:
    """A resumed verify checks no file twice, and keeps its counts and failures."""
    async with three.running(verify_bandwidth=SLOW_BANDWIDTH) as running:
        run = running.ask(RunKind.VERIFY)
        await wait_for_progress(running, run, done=2)
        running.mirror.engine.stop(grace_seconds=0)
    three.sql("UPDATE project SET changed_at = 1 WHERE name = 'alpha'")
    only_file(three, "omega").write_bytes(b"rotten since the verify checked it")

    async with three.running() as running:
        running.mirror.runs.restore()
        ended = await running.ended(run)

    assert ended.id == run.id
    assert (ended.state, [failure.project for failure in ended.failures]) == (RunState.INCOMPLETE, ["alpha"])
    counts = ended.counts
    assert (counts.projects_planned, counts.projects_done, counts.files_verified, counts.files_damaged) == (3, 3, 3, 1)
    assert "mirrorctl verify --repair" in (ended.message or "")


async def test_next_verify_checks_every_file_again(three: Site) -> None:
    """A new verify checks every file, including those that an earlier verify checked."""
    async with three.running() as running:
        first = await running.verify()
        only_file(three, "omega").unlink()
        second = await running.verify()

    assert [failure.project for failure in first.failures] == ["alpha"]
    assert sorted(failure.project or "" for failure in second.failures) == ["alpha", "omega"]
    assert second.counts.files_verified == 3


async def test_project_published_between_a_stop_and_a_resume_stays_verified(
    three: Site, pypi: fakepypi.FakePyPI
) -> None:
    """A verified project that is published again while the verify is interrupted still counts as verified."""
    async with three.running(verify_bandwidth=SLOW_BANDWIDTH) as running:
        run = running.ask(RunKind.VERIFY)
        await wait_for_progress(running, run, done=2)
        running.mirror.engine.stop(grace_seconds=0)
    pypi.index.project("omega").upload("1.1", wheel=False)
    await three.sync("omega")

    async with three.running() as running:
        running.mirror.runs.restore()
        ended = await running.ended(run)

    assert ended.counts.files_verified == 3


@pytest.mark.parametrize("name", ["omega", "big"])
async def test_sync_does_not_wait_for_a_slow_verify(three: Site, pypi: fakepypi.FakePyPI, name: str) -> None:
    """A sync of a named project does not wait for a slow verify, even while that hashes the project."""
    pypi.index.project(name).upload("1.1", wheel=False)
    async with three.running(verify_bandwidth=SLOW_BANDWIDTH) as running:
        verify = running.ask(RunKind.VERIFY)
        await wait_for_progress(running, verify, done=2)
        run = await running.sync(name)
        active = running.mirror.runs.active(verify.id)
        assert active is not None, "the verify is still under way"
        await running.mirror.engine.cancel(active)
        cancelled = await running.ended(verify)

    assert (run.state, run.counts.files_fetched) == (RunState.SUCCEEDED, 1)
    assert cancelled.state is RunState.CANCELLED


async def test_page_that_changes_during_a_verify_is_read_again(three: Site, pypi: fakepypi.FakePyPI) -> None:
    """If a page changes during a verify, the verify ignores its removed files and hashes its new ones."""
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
    assert ended.counts.bytes_verified < 2 * LARGE_BYTES, "files found correct are not hashed twice"


@pytest.mark.proves("reliability/soak")
async def test_project_withdrawn_during_a_verify_is_not_damaged(three: Site) -> None:
    """A project that is withdrawn during a verify does not count as damaged."""
    async with three.running(verify_bandwidth=SLOW_BANDWIDTH) as running:
        run = running.ask(RunKind.VERIFY)
        await wait_for_progress(running, run, done=2)
        three.select("alpha", "omega")
        await running.sync()
        ended = await running.ended(run)

    assert three.pages() == ["alpha", "omega"]
    assert [failure.project for failure in ended.failures] == ["alpha"]
    assert (ended.counts.projects_done, ended.counts.files_damaged) == (3, 1)


async def test_verify_of_many_projects_queues_few(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A verify keeps at most 64 of its projects in the queue, however many there are."""
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
async def inspecting_in_a_worker_process(site: Site, *, bandwidth: str) -> AsyncIterator[tuple[Running, int]]:
    """Run a mirror that inspects files in one worker process only; yield the mirror and the process id."""
    async with site.running(workers=2, verify_bandwidth=bandwidth) as running:
        worker_pool = running.mirror.worker_pool
        (process,) = worker_pool._to_start
        worker_pool._to_start.clear()
        await process.start()
        worker_pool._active_jobs = {process: 0}
        assert process._process is not None
        yield running, process._process.pid


async def test_worker_process_finds_the_same_damage_as_a_thread(three: Site) -> None:
    """A worker process reports the same damage as a thread, within the bandwidth limit."""
    async with inspecting_in_a_worker_process(three, bandwidth="3MB") as (running, _):
        began = time.monotonic()
        ended = await running.verify()
        seconds = time.monotonic() - began

    assert (ended.counts.files_verified, ended.counts.files_damaged) == (3, 1)
    assert [failure.project for failure in ended.failures] == ["alpha"]
    assert seconds > 0.8  # 3 MB


async def test_killed_worker_process_fails_only_its_project(three: Site) -> None:
    """A killed worker process fails only the project that it hashes, and the next verify starts another."""
    async with inspecting_in_a_worker_process(three, bandwidth=SLOW_BANDWIDTH) as (running, pid):
        run = running.ask(RunKind.VERIFY)
        await wait_for_progress(running, run, done=2)
        os.kill(pid, signal.SIGKILL)
        ended = await running.ended(run)
        again = await running.verify("omega")

    assert (ended.state, again.state) == (RunState.INCOMPLETE, RunState.SUCCEEDED)
    assert sorted(failure.project or "" for failure in ended.failures) == ["alpha", "big"]
    assert any("the worker process died" in failure.reason for failure in ended.failures)
    assert (ended.message or "").startswith("1 project(s) could not be verified")


async def test_workers_share_the_verify_bandwidth(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """All workers share the inspections and the bandwidth, and each inspection stays with one worker."""
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
    assert shares == {3_200_000, 1_600_000}, "all of it for one worker, half for each of two"


async def test_cancelled_verify_drops_its_inspections(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A cancelled verify drops the inspections that wait for their next slice."""
    names = [f"project-{number}" for number in range(4)]
    for name in names:
        pypi.index.project(name).upload("1.0", wheel=False, padding=LARGE_BYTES)
    site.select(*names)
    await site.sync()
    async with site.running(connections=1, verify_bandwidth=SLOW_BANDWIDTH) as running:
        run = running.ask(RunKind.VERIFY)
        inspections = running.mirror.engine._verifier._active
        async with asyncio.timeout(60):
            while len(inspections) < 3:  # noqa: ASYNC110 - sends no events
                await asyncio.sleep(0.01)
        inspector = next(iter(inspections.values()))._inspector  # type: ignore[attr-defined] # the only worker is in this process
        active = running.mirror.runs.active(run.id)
        assert active is not None
        await running.mirror.engine.cancel(active)
        ended = await running.ended(run)

    assert ended.state is RunState.CANCELLED
    assert (inspections, inspector._inspections) == ({}, {})


async def test_verify_of_an_empty_mirror_succeeds(site: Site) -> None:
    """A verify of an empty mirror succeeds at once."""
    site.select("six")
    async with site.running() as running:
        run = await running.verify()

    assert (run.state, run.counts.projects_planned, run.message) == (RunState.SUCCEEDED, 0, None)


async def test_verify_of_an_unknown_project_reports_it(three: Site) -> None:
    """A verify reports a named project that is not mirrored, and checks the others."""
    async with three.running() as running:
        run = await running.verify("omega", "nothing")

    assert (run.state, run.counts.files_verified) == (RunState.INCOMPLETE, 1)
    assert [(failure.project, failure.reason) for failure in run.failures] == [
        ("nothing", "not mirrored, so there is nothing to verify")
    ]


@pytest.mark.proves("reliability/disk")
@pytest.mark.parametrize("form", ["index.html", "index.v1_json", "index.html.gz", "index.v1_json.gz"])
@pytest.mark.parametrize("missing", [False, True], ids=["corrupt", "missing"])
async def test_damaged_project_list_is_reported_and_repaired(
    site: Site, pypi: fakepypi.FakePyPI, form: str, *, missing: bool
) -> None:
    """A whole verify compares the project list with the published projects, and a repair publishes it again."""
    names = [f"project-with-a-long-name-{number:03}" for number in range(60)]
    for name in names:
        pypi.index.project(name).create()
    site.select(*names)
    await site.sync()
    path = site.web / "simple" / form
    before = path.read_bytes()
    path.unlink() if missing else path.write_bytes(before[:-20] + b"x" * 20)
    async with site.running() as running:
        found = await running.verify()
        repaired = await running.verify(repair=True)
        again = await running.verify()

    copy_missing = missing and form.endswith(".gz")
    assert found.state is (RunState.SUCCEEDED if copy_missing else RunState.INCOMPLETE), (
        "a compressed copy may be missing"
    )
    assert [failure.file for failure in found.failures] == ([] if copy_missing else [f"simple/{form}"])
    assert [repaired.state, again.state] == [RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert copy_missing or path.read_bytes() == before


async def test_scheduled_verify_during_a_verify_is_skipped(three: Site) -> None:
    """The schedule requests a verify of the whole mirror without repair, unless a verify is under way."""
    async with three.running(verify_bandwidth="64kB") as running:
        request_verify(running.mirror)
        (first,) = running.mirror.runs.queued()
        await asyncio.sleep(0.05)
        request_verify(running.mirror)
        runs = [*running.mirror.runs.queued(), *running.mirror.runs.running()]

    assert [run.id for run in runs] == [first.id]
    assert (first.request.projects, first.request.repair, first.document.trigger) == (None, False, "schedule")


def test_rate_limit_is_shared_by_threads() -> None:
    """Threads that read through one rate limit share its rate, without a burst after a pause."""
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
    # 8 × 50,000 bytes: the last read starts after 350,000 bytes, at 0.35 s; the other thread ends just before
    assert max(ends) == pytest.approx(0.35, abs=0.08)
    assert min(ends) == pytest.approx(0.30, abs=0.08)


def test_rate_limit_of_none_never_waits() -> None:
    """Without a limit, reads never wait, and a piece is 1 MiB."""
    rate_limit = RateLimit(None)
    began = time.monotonic()
    for _ in range(1_000):
        rate_limit.take(2**30)
    assert time.monotonic() - began < 0.1
    assert rate_limit.piece == 2**20
