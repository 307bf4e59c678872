"""
Runs of the kind verify: every published project is inspected in slices, on all cores.

Counts are stored together with the projects that they include, so that a restart neither forgets a failure nor counts a
file twice.
"""

import asyncio
import contextlib
import math
import os
import time
from collections import defaultdict, deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Fact, Verified
from mirror_syncer.errors import StateError, WorkerLostError
from mirror_syncer.model.damage import Damage
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.executor import RunExecutor
from mirror_syncer.runs.garbage_collection import Collection
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.runs.verify.orphans import Orphans
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob
from mirror_syncer.work.pool import WorkerHandle
from mirror_syncer.work.rate_limit import RateLimit
from mirror_syncer.work.transfer import Compared

log = structlog.get_logger()

# Others that wait for the same project, or for a worker, wait for a few slices.
_SLICE_SECONDS = 0.5
_NAMES_PER_PAGE = 500
# Tasks per core: enough to keep the workers busy, and so few that a project's next slice comes soon.
_TASKS_PER_CORE = 4
_REPAIR = "`mirrorctl verify --repair` downloads it again"

_DIFFERS = "not what upstream promises, and upstream's page did not change since the last sync"
_ALTERED = "altered on disk, and not by this mirror: find out who else can write to MIRROR_DATA"


class SliceEndedError(Exception):
    """An inspection needs a further slice; the task goes back into the queue."""


class Verifier(RunExecutor):
    """Verifies projects on behalf of runs; the dispatcher calls it for each task, the engine for each run."""

    def __init__(self, context: RunContext, collection: Collection) -> None:
        self._context = context
        self._catalog = context.catalog
        self._workers = context.worker_pool
        self._metrics = context.metrics
        self._project_list = context.project_list
        self._collection = collection
        self._bandwidth = context.settings.verify_bandwidth
        self._orphans = Orphans(
            catalog=context.catalog,
            volume=context.volume,
            removal=lambda: context.policy.current.removal,
            scratch=context.settings.state / "orphans",
            rate_limit=RateLimit(self._bandwidth),
        )
        # A thread of its own: in the event loop's pool a slow disk would delay all reads of the catalog.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="orphans")
        self._active = dict[tuple[str, NormalizedName], WorkerHandle]()
        """The worker that holds each unfinished inspection."""
        self._results: dict[tuple[str, NormalizedName], InspectionResult] = {}
        self._changed_upstream: defaultdict[str, int] = defaultdict(int)
        """Projects of each run that changed upstream since they were synced."""
        self._verified: defaultdict[str, dict[NormalizedName, Verified]] = defaultdict(dict)

    def close(self) -> None:
        """Start nothing further; a step of the search for orphans that is running ends on its own."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def execute(self, run: ActiveRun) -> None:
        """Inspect every published project that the run covers, except those that an earlier process inspected."""
        await self._verify(run)
        if run.request.repair:
            with run.progress.phase("publish"):
                await self._project_list.publish()
            await self._collection.collect(run)

    async def save(self, run: ActiveRun) -> None:
        """Store the counts together with the projects that they include."""
        verified, document = self._verified.pop(run.id, {}), run.document.model_copy(deep=True)
        try:
            await asyncio.to_thread(self._catalog.checkpoint, document, verified=verified)
        except StateError:
            self._verified[run.id] = verified | self._verified.get(run.id, {})  # for the next time
            raise

    def conclude(self, run: ActiveRun) -> None:
        """Record nothing: ``save`` has recorded what was verified."""

    async def _verify(self, run: ActiveRun) -> None:
        since = _started(run) if run.resumed else None
        absent, left = await asyncio.to_thread(self._survey, run, since)
        known = {failure.project for failure in run.report.failures}
        for name in absent:
            if name not in known:
                run.report.add(Failure(project=name, reason="not mirrored, so there is nothing to verify"))
        counts = run.progress.counts
        counts.projects_planned = counts.projects_done + left
        log.info("plan", verify=left, **({"verified_before": counts.projects_done} if run.resumed else {}))
        with run.progress.phase("verify"):
            await self._feed_all(run, since=since)
            for name in [name for run_id, name in self._active if run_id == run.id]:
                await self.discard(name, run)  # it waited for its next slice when the run was cancelled
            if run.is_whole and not run.is_stopping:
                await self._verify_project_list(run)
        if run.is_whole and not run.is_stopping:
            with run.progress.phase("orphans"):
                await self._search_orphans(run)
        if changed := self._changed_upstream.pop(run.id, 0):
            run.report.remarks.append(
                f"{changed} project(s) changed upstream since their last sync and were not compared; run a sync"
            )
        await self.save(run)

    async def inspect(self, task: Task, run: ActiveRun, row: ProjectRow | None) -> InspectionResult:
        """
        Inspect a project with its row for one slice; ``record`` counts the result.

        Raises:
            SliceEndedError: the inspection needs a further slice.
            VolumeError: the disk failed.
            WorkerLostError: the worker process died.
        """
        key = (run.id, task.name)
        if row is None or not row.published:
            # Withdrawn since the task was queued, so nothing is missing.
            await self.discard(task.name, run)
            result = self._results[key] = InspectionResult(0, 0, ())
            return result
        worker = self._active.setdefault(key, self._workers.choose())
        try:
            found = await self._workers.inspect(
                InspectionJob(*key, _SLICE_SECONDS, self._bandwidth_share(), row.page_sha256), worker=worker
            )
        except WorkerLostError:
            del self._active[key]  # there is nothing left to discard
            raise
        if found is None:
            raise SliceEndedError
        del self._active[key]
        self._results[key] = found
        for damage in found.damages:
            self._metrics.count_damage(damage.reason)
        return found

    def record(self, name: NormalizedName, run: ActiveRun, *, repaired: bool) -> None:
        """Count a project's result, and record what stays damaged."""
        result = self._results.pop((run.id, name))
        counts = run.progress.counts
        counts.files_verified += result.files
        counts.bytes_verified += result.bytes
        counts.files_damaged += len(result.damages)
        damaged = bool(result.damages) and not run.request.repair
        if damaged:
            run.report.add(*(_failure(name, damage) for damage in result.damages))
        # A damaged project of a partial run stays unverified: a whole run that is interrupted meanwhile must not skip
        # it when it resumes. A whole run has its failures in its own document.
        verified_at = max(int(time.time()), _started(run))
        at = None if damaged and not run.is_whole else verified_at
        self._verified[run.id][name] = Verified(at, 0 if repaired else len(result.damages))

    def add_comparison(self, name: NormalizedName, run: ActiveRun, compared: Compared) -> InspectionResult:
        """Add the differences from upstream to a project's result, and return it; ``record`` counts it."""
        if compared.failure is not None:
            run.progress.counts.projects_failed += 1
            run.report.add(Failure(project=name, reason=compared.failure))
        self._changed_upstream[run.id] += compared.changed
        key = (run.id, name)
        result = self._results[key]
        known = {damage.place for damage in result.damages}
        found = tuple(Damage(what, place, "differs") for what, place in compared.differing if place not in known)
        for damage in found:
            self._metrics.count_damage(damage.reason)
        self._results[key] = replace(result, damages=(*result.damages, *found))
        return self._results[key]

    async def discard(self, name: NormalizedName, run: ActiveRun) -> None:
        """Discard an unfinished inspection."""
        key = (run.id, name)
        self._results.pop(key, None)
        if (worker := self._active.pop(key, None)) is not None:
            with contextlib.suppress(WorkerLostError):
                await self._workers.inspect(InspectionJob(*key, 0, self._bandwidth_share()), worker=worker)

    def _bandwidth_share(self) -> int | None:
        """Return the bandwidth of each worker that has an unfinished inspection: all of it if there is one."""
        return self._bandwidth and self._bandwidth // max(1, len(set(self._active.values())))

    async def _verify_project_list(self, run: ActiveRun) -> None:
        damages = await self._project_list.find_damage()
        unrepaired = "" if run.request.repair or not damages else f"{len(damages)} {int(time.time())}"
        if not (unrepaired and self._catalog.recall(Fact.LIST_DAMAGED)):  # which has the time of the first finding
            self._catalog.remember(Fact.LIST_DAMAGED, unrepaired)
        for form, reason in damages:
            self._metrics.count_damage(reason)
            run.progress.counts.files_damaged += 1
            if not run.request.repair:
                run.report.add(Failure(file=f"simple/{form}", reason=f"{reason} on disk; {_REPAIR}"))
        if run.request.repair:
            await self._project_list.repair()

    async def _search_orphans(self, run: ActiveRun) -> None:
        log.info("searching for orphans")
        search, loop = self._orphans.search(run), asyncio.get_running_loop()
        try:
            while not run.is_stopping and await loop.run_in_executor(self._thread, _continue_search, search):
                pass
        finally:
            await loop.run_in_executor(self._thread, search.close)

    async def _feed_all(self, run: ActiveRun, *, since: int | None) -> None:
        """Queue all projects, and wait until they are done."""
        page, only, after = self._catalog.projects.to_verify, run.request.projects, ""
        while names := await asyncio.to_thread(page, since=since, only=only, after=after, limit=_NAMES_PER_PAGE):
            after = names[-1]
            await self._feed(run, names)
            if run.is_stopping:
                break
        await run.progress.wait_for_tasks()

    async def _feed(self, run: ActiveRun, names: list[NormalizedName]) -> None:
        """Queue projects, a few at a time."""
        max_tasks = _TASKS_PER_CORE * len(os.sched_getaffinity(0))
        remaining = deque(names)
        while remaining:
            await run.progress.wait_for_tasks(max_tasks // 2, unless=lambda: run.is_stopping)
            if run.is_stopping:
                return
            count = min(len(remaining), max_tasks - run.progress.tasks_left)
            tasks = [Task(run.id, remaining.popleft(), Action.VERIFY, run.priority) for _ in range(count)]
            await self._context.feed.put(run, tasks)

    def _survey(self, run: ActiveRun, since: int | None) -> tuple[list[str], int]:
        """Return the requested projects that are not published, and the number of projects to inspect."""
        only = run.request.projects
        published = self._catalog.projects.to_verify(only=only, limit=len(only)) if only is not None else []
        return sorted(set(only or ()) - set(published)), self._catalog.projects.count_to_verify(since=since, only=only)


def _continue_search(search: Generator[None, None, None]) -> bool:
    """Continue for one slice; return whether there is more to do."""
    deadline = time.monotonic() + _SLICE_SECONDS
    return any(time.monotonic() > deadline for _ in search)


def _started(run: ActiveRun) -> int:
    """Return the first full second of a run: projects verified since then are done."""
    started = run.document.started_at
    return 0 if started is None else math.ceil(started.timestamp())


def _failure(name: NormalizedName, damage: Damage) -> Failure:
    if damage.reason == "altered":
        return Failure(project=name, file=damage.what, reason=f"{_ALTERED}; {_REPAIR}")
    if damage.reason == "differs":
        return Failure(project=name, file=damage.what, reason=f"{_DIFFERS}; {_REPAIR}")
    return Failure(project=name, file=damage.what, reason=f"{damage.reason} on disk; {_REPAIR}")
