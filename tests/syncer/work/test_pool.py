"""Worker processes: they do what one process does, and what becomes of one is no other's loss."""

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn, cast

import pytest
from packaging.utils import NormalizedName

import fakepypi
from mirror_contract import ProjectState, Run, RunKind, RunState
from mirror_syncer.errors import WorkerLostError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import Pending
from mirror_syncer.upstream import ClientOptions, Index
from mirror_syncer.volume import Tree
from mirror_syncer.work.__main__ import Process
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob
from mirror_syncer.work.pool import WorkerPool
from mirror_syncer.work.process import WorkerProcess
from mirror_syncer.work.setup import CatalogProxy, Observations, WorkerSetup
from mirror_syncer.work.wire import CatalogAnswer, CatalogQuery
from mirror_syncer.work.worker import Job, Worker
from syncer.site import Running, Site

PROJECTS = [f"project{number}" for number in range(24)]


@pytest.fixture
def many(pypi: fakepypi.FakePyPI) -> fakepypi.FakePyPI:
    """Upstream with two dozen projects of a wheel and an sdist each."""
    for name in PROJECTS:
        pypi.index.project(name).upload("1.0")
    return pypi


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"mirror_syncer.work" in Path(f"/proc/{child}/cmdline").read_bytes()]


def prepared(pid: int) -> bool:
    """Return whether a worker has come up: SIGTERM is ignored right after its parent's death was provided for."""
    (ignored,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def alive(pid: int) -> bool:
    """Return whether a process still does anything."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@asynccontextmanager
async def at_work(site: Site, pypi: fakepypi.FakePyPI, *, connections: int = 2) -> AsyncIterator[tuple[Running, Run]]:
    """Run a sync of everybody's projects of which all workers have some."""
    gate = pypi.faults.on_page().gate()
    async with site.running(workers=2, connections=connections) as running:
        run = running.ask(RunKind.SYNC)
        async with asyncio.timeout(60):
            while len(running.mirror.worker_pool._active_jobs) < 2:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        gate.open()
        yield running, run


async def test_processes_mirror_as_one_does(site: Site, many: fakepypi.FakePyPI) -> None:
    """A process besides our own brings its share of projects, files and metadata; a second sync finds nothing to do."""
    site.select(*PROJECTS)
    async with at_work(site, many) as (running, run):
        assert len(workers_of(os.getpid())) == 1
        first = await running.ended(run)
        second = await running.sync()
    assert (first.state, first.counts.projects_changed) == (RunState.SUCCEEDED, len(PROJECTS))
    assert (second.state, second.counts.projects_changed, second.counts.files_fetched) == (RunState.SUCCEEDED, 0, 0)
    assert site.pages() == sorted(PROJECTS)
    site.assert_whole()
    assert workers_of(os.getpid()) == []


async def test_processes_share_the_connections(site: Site, many: fakepypi.FakePyPI) -> None:
    """However many processes there are, upstream never sees more connections than configured."""
    site.select(*PROJECTS)
    many.faults.everywhere().delay(0.05)
    async with at_work(site, many, connections=6) as (running, run):
        assert (await running.ended(run)).state is RunState.SUCCEEDED
    assert 2 < many.log.peak <= 6


async def test_lost_worker_costs_what_it_had_in_hand(site: Site, many: fakepypi.FakePyPI) -> None:
    """A worker that is killed fails its projects with a reason; the next run starts another and brings them."""
    site.select(*PROJECTS)
    async with at_work(site, many) as (running, run):
        async with asyncio.timeout(60):
            while not list(running.mirror.worker_pool._active_jobs.values())[1]:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
        os.kill(workers_of(os.getpid())[0], signal.SIGKILL)
        failed = await running.ended(run)
        assert failed.state is RunState.INCOMPLETE
        assert 0 < failed.counts.projects_failed < len(PROJECTS)
        assert failed.failures[0].reason.startswith("the worker process died")
        again = await running.sync()
        assert again.state is RunState.SUCCEEDED
        assert running.row(PROJECTS[0]).state is ProjectState.CURRENT
    assert site.pages() == sorted(PROJECTS)
    site.assert_whole()


def leave_it_to_the_process(running: Running) -> None:
    """Let the worker in this process have no further job."""
    worker_pool = running.mirror.worker_pool
    worker_pool._active_jobs.pop(next(iter(worker_pool._active_jobs)))


async def test_errors_cross_the_wire(site: Site, many: fakepypi.FakePyPI) -> None:
    """What a worker process cannot read fails its project, or the run where all need it, as in one process."""
    site.select(*PROJECTS)
    async with at_work(site, many) as (running, run):
        await running.ended(run)
        leave_it_to_the_process(running)
        (site.web / "simple" / PROJECTS[0]).rename(site.web / "aside")
        (site.web / "simple" / PROJECTS[0]).write_text("in the way")
        partly = await running.sync(PROJECTS[0], force=True)
        (site.web / "simple").rename(site.web / "all-aside")
        (site.web / "simple").write_text("in the way")
        failed = await running.sync(PROJECTS[0], force=True)
    assert partly.state is RunState.INCOMPLETE
    assert "Not a directory" in partly.failures[0].reason
    assert failed.state is RunState.FAILED
    assert "simple" in (failed.message or "")


async def test_kept_pages_cross_the_wire(site: Site, many: fakepypi.FakePyPI) -> None:
    """What a policy withheld is published from the kept page by a process that knows no catalog, with no new page."""
    for version in ("1.0", "2.0"):
        many.index.project("six").upload(version)
    site.select(*PROJECTS, "six<2")
    async with at_work(site, many) as (running, run):
        await running.ended(run)
        leave_it_to_the_process(running)
        site.select(*PROJECTS, "six")
        await running.sync()
    assert many.log.to("/simple/six/")[-1].status == 304
    assert {"six-1.0.tar.gz", "six-2.0.tar.gz"} <= site.filenames("six")
    site.assert_whole()


async def test_workers_die_with_their_parent(site: Site, many: fakepypi.FakePyPI, tmp_path: Path) -> None:
    """A parent that is killed leaves no worker that could write beside the next one."""
    site.select(*PROJECTS)
    gate = many.faults.on_page(PROJECTS[0]).times(1).gate()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mirror_syncer", "sync"),
        env=os.environ | site.environment(MIRROR_WORKERS="3"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    await gate.arrival()
    async with asyncio.timeout(60):
        while not (workers := list(filter(prepared, workers_of(process.pid)))):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)  # one that hears of nothing, as in the middle of a long call, must go, too
    process.kill()
    await process.wait()
    async with asyncio.timeout(60):
        while any(map(alive, workers)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    gate.open()


class Line:
    """A wire that keeps what is said over it."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def send(self, message: object) -> None:
        """Keep it."""
        self.said.append(message)


class Slow:
    """CatalogProxy that take until they are let go, and observations that nobody keeps."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def claim(self, intents: Sequence[Pending]) -> set[PackagePath]:
        """Find each place taken."""
        await self.gate.wait()
        return {intent.place for intent in intents}

    async def kept(self, name: NormalizedName) -> None:
        """Find nothing."""
        await self.gate.wait()

    def observe_request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Pass over it."""

    def count_retry(self, reason: str) -> None:
        """Pass over it."""


def worker_process(site: Site, catalog_proxy: Slow) -> WorkerProcess:
    """Return one that is not started."""
    client = ClientOptions(user_agent="test", hosts=frozenset(), connections=1)
    setup = WorkerSetup(root=site.data, reserve=0.0, upstream=site.upstream, client=client, files_at_once=1)
    return WorkerProcess(setup, catalog_proxy=catalog_proxy, observations=catalog_proxy)


async def test_answer_is_for_who_asked(site: Site) -> None:
    """What a worker asked before it was lost is not answered to the one that is started in its stead."""
    catalog_proxy = Slow()
    process = worker_process(site, catalog_proxy)
    first, second = Line(), Line()
    process._wire = first  # type: ignore[assignment]
    process._receive(CatalogQuery(1, NormalizedName("six")))
    await asyncio.sleep(0)
    process._lost()
    process._wire = second  # type: ignore[assignment]
    catalog_proxy.gate.set()
    await asyncio.gather(*process._query_tasks)
    assert (first.said, second.said) == ([CatalogAnswer(1, None)], [])


async def test_worker_ends_whose_parent_is_gone_before_it_begins() -> None:
    """A parent that is killed while its worker comes up, and has said nothing yet, leaves no worker either."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mirror_syncer.work", str(theirs.fileno()), pass_fds=[theirs.fileno()]
        )
    async with asyncio.timeout(60):
        assert await process.wait() == 0


async def test_worker_process_is_small() -> None:
    """A worker process imports nothing of the catalog, the settings, the contract's models or the terminal."""
    told = "import sys, mirror_syncer.work.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", told, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    imported = set(output.decode().split())
    assert "mirror_syncer" in imported
    parents = {"sqlalchemy", "alembic", "fastapi", "uvicorn", "typer", "multiprocessing", "pydantic"}
    parents |= {
        "pydantic_core",
        "rich",
        "pygments",
        "prometheus_client",
        "apscheduler",
        "aiohttp",
        "nab_resolver",
        "cvss",
    }
    assert imported.isdisjoint(parents)


async def test_worker_that_cannot_be_started_again_costs_nothing(
    site: Site, many: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without memory for another process loses a worker, and no project: idle, it is not the first choice."""
    site.select(*PROJECTS)
    async with at_work(site, many) as (running, run):
        await running.ended(run)
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        os.kill(workers_of(os.getpid())[0], signal.SIGKILL)
        async with asyncio.timeout(60):
            while list(running.mirror.worker_pool._active_jobs)[1].runs:  # type: ignore[attr-defined] # noqa: ASYNC110
                await asyncio.sleep(0.01)
        again = await running.sync(force=True)
    assert (again.state, again.counts.projects_failed) == (RunState.SUCCEEDED, 0)


class AwkwardError(Exception):
    """What no pickle can make again."""

    def __init__(self, *, why: str) -> None:
        super().__init__(why)


class Failing:
    """A worker whose jobs end in an error, or in nothing."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def perform(self, job: object) -> None:
        """Do as said."""
        if self._error is not None:
            raise self._error


async def test_any_error_crosses_the_wire() -> None:
    """An error that cannot be pickled is told by its words: the parent does not wait for it without end."""
    process, line = Process(), Line()
    process._worker, process._wire = Failing(AwkwardError(why="no luck")), line  # type: ignore[assignment]
    await process._perform(1, None)  # type: ignore[arg-type]
    (done,) = pickle.loads(pickle.dumps(line.said))
    assert str(done.result) == "AwkwardError: no luck"


async def test_names_are_durable_before_they_are_told(tmp_path: Path) -> None:
    """Off a file system that is synced as a whole, a worker syncs the directories that it named files in, itself."""
    process, line = Process(), Line()
    (tmp_path / "pypi").mkdir()
    process._tree = tree = Tree(tmp_path)
    tree.durability.syncs_file_system = False
    tree.durability.directory_changed(tmp_path)
    process._worker, process._wire = Failing(), line  # type: ignore[assignment]
    await process._perform(1, None)  # type: ignore[arg-type]
    assert len(line.said) == 1
    assert not tree.durability._directories
    tree.durability.close()


class _Inspecting:
    """A worker that finds a thousand intact files of one size in each project."""

    def __init__(self, file_bytes: int) -> None:
        self._file_bytes = file_bytes
        self.index = cast("Index", None)

    async def perform(self, job: Job) -> InspectionResult:
        await asyncio.sleep(0)
        return InspectionResult(1_000, 1_000 * self._file_bytes, ())


@pytest.mark.parametrize(("file_bytes", "started"), [(2_000, 1), (1_000_000, 0)], ids=["small files", "large files"])
async def test_only_small_files_start_a_process(file_bytes: int, started: int) -> None:
    """A verify of large files is fast in one process's threads; only small files start another process."""
    starts: list[WorkerProcess] = []

    class Process(WorkerProcess):
        async def start(self) -> NoReturn:
            starts.append(self)
            raise WorkerLostError("not needed")

    proxy = cast("CatalogProxy", None)
    process = Process(cast("WorkerSetup", None), catalog_proxy=proxy, observations=cast("Observations", None))
    pool = WorkerPool(cast("Worker", _Inspecting(file_bytes)), [process], catalog_proxy=proxy)
    for _ in range(2):  # the first time the pool learns how large the files are
        jobs = [InspectionJob("run", NormalizedName(name), 0.5, None) for name in PROJECTS]
        await asyncio.gather(*(pool.inspect(job, worker=pool.choose()) for job in jobs))
    await asyncio.sleep(0)
    assert len(starts) == started
