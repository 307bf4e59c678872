"""
The work of a verify: every published project looked at in slices, on all cores, from where an interruption left it.

What was counted is stored together with which projects it was counted of, so that a restart neither forgets a failure
nor counts a file twice.
"""

import asyncio
import contextlib
import math
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ParamSpec, TypeVar

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_syncer.catalog import Catalog, Fact, Verified
from mirror_syncer.errors import StateError, WorkerLostError
from mirror_syncer.metrics import Metrics
from mirror_syncer.model.damage import Damage
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.queue import Action, Task, WorkQueue
from mirror_syncer.runs.verify.orphans import Orphans
from mirror_syncer.work.inspection import InspectionResult
from mirror_syncer.work.inspector import InspectionJob
from mirror_syncer.work.pool import WorkerHandle, WorkerPool
from mirror_syncer.work.transfer import Compared

log = structlog.get_logger()

P = ParamSpec("P")
R = TypeVar("R")

# Whoever waits for a project that is being looked at, or for a worker, waits for a few of these.
_SLICE_SECONDS = 0.5
_NAMES_AT_ONCE = 500
# Projects of a run in the queue or in hand, a core: enough that none waits for the event loop, and so few that a slice
# comes soon.
_AHEAD = 4
_REPAIR = "`mirrorctl verify --repair` fetches it again"

_DIFFERS = "not what upstream promises, and upstream's page did not change since the last sync"
_ALTERED = "altered on disk, and not by this mirror: find out who else can write to MIRROR_DATA"


class SliceEndedError(Exception):
    """A project is not looked at to its end; its task belongs back into the queue."""


class Verifier:
    """
    Looks at projects on behalf of runs.

    Args:
        orphans: looks for them where a run concerns the whole mirror.
        bandwidth: bytes a second that all looks together may read; None: as many as come.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        worker_pool: WorkerPool,
        queue: WorkQueue,
        metrics: Metrics,
        project_list: ProjectList,
        orphans: Orphans,
        bandwidth: int | None,
    ) -> None:
        self._catalog = catalog
        self._worker_pool = worker_pool
        self._queue = queue
        self._metrics = metrics
        self._list = project_list
        self._orphans = orphans
        self._bandwidth = bandwidth
        # Its own: in the event loop's pool a slow disk would hold up everybody's look into the catalog.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="orphans")
        self._under_way: dict[tuple[str, NormalizedName], WorkerHandle] = {}
        """Looks at projects, and at whose desk each is: there it goes on."""
        self._verdicts: dict[tuple[str, NormalizedName], InspectionResult] = {}
        self._changed: defaultdict[str, int] = defaultdict(int)
        """Projects of a run that upstream changed since they were synced."""
        self._verified: defaultdict[str, dict[NormalizedName, Verified]] = defaultdict(dict)

    def close(self) -> None:
        """Begin nothing more; a slice under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, run: ActiveRun) -> None:
        """Have every published project that a run concerns looked at, except those that it has behind it."""
        since = _since(run) if run.resumed else None
        only = run.request.projects
        absent, left = await asyncio.to_thread(self._survey, run, since)
        known = {failure.project for failure in run.document.failures}
        for name in absent:
            if name not in known:
                run.note(Failure(project=name, reason="not mirrored, so there is nothing to verify"))
        counts = run.document.counts
        counts.projects_planned = counts.projects_done + left
        log.info("plan", verify=left, **({"verified_before": counts.projects_done} if run.resumed else {}))
        with run.phase("verify"):
            await self._feed_all(run, since=since)
            for name in [name for run_id, name in self._under_way if run_id == run.id]:
                await self.give_up(name, run)  # it waited for its next slice when the run was cancelled
            if only is None and not run.over:
                await self._look_at_list(run)
        if only is None and not run.over:
            with run.phase("orphans"):
                await self._look_for_orphans(run)
        if changed := self._changed.pop(run.id, 0):
            run.remarks.append(
                f"{changed} project(s) changed upstream since their last sync and were not compared; run a sync"
            )
        await self.checkpoint(run)

    async def look(self, task: Task, run: ActiveRun) -> InspectionResult:
        """
        Look at a project for a slice; ``settle`` counts what was found.

        Raises:
            SliceEndedError: there is more to look at.
            VolumeError: the disk says no.
            WorkerLostError: the process that looked at it ended.
        """
        key = (run.id, task.name)
        row = self._catalog.projects.get(task.name)
        if row is None or not row.published:
            # Withdrawn since the run was told of it: no page is missing, and there is nothing to look at.
            await self.give_up(task.name, run)
            verdict = self._verdicts[key] = InspectionResult(0, 0, ())
            return verdict
        hand = self._under_way.setdefault(key, self._worker_pool.choose())
        try:
            found = await self._worker_pool.look(
                InspectionJob(*key, _SLICE_SECONDS, self._share(), row.page_sha256), at=hand
            )
        except WorkerLostError:
            del self._under_way[key]  # there is nothing to give up any more
            raise
        if found is None:
            raise SliceEndedError
        del self._under_way[key]
        self._verdicts[key] = found
        for damage in found.damages:
            self._metrics.count_damage(damage.reason)
        return found

    def settle(self, name: NormalizedName, run: ActiveRun, *, repaired: bool) -> None:
        """Count what was found of a project, note that it is verified, and what of it stays damaged."""
        verdict = self._verdicts.pop((run.id, name))
        counts = run.document.counts
        counts.files_verified += verdict.files
        counts.bytes_verified += verdict.bytes
        counts.files_damaged += len(verdict.damages)
        damaged = bool(verdict.damages) and not run.request.repair
        if damaged:
            run.note(*(_failure(name, damage) for damage in verdict.damages))
        # A whole run keeps what it found in its document. What another one found must not be passed over by a whole run
        # that was interrupted meanwhile.
        looked_at = max(int(time.time()), _since(run))
        at = None if damaged and run.request.projects is not None else looked_at
        self._verified[run.id][name] = Verified(at, 0 if repaired else len(verdict.damages))

    def note_comparison(self, name: NormalizedName, run: ActiveRun, compared: Compared) -> InspectionResult:
        """Add to a verdict what a comparison with upstream found, and return it; ``settle`` counts it."""
        if compared.failure is not None:
            run.document.counts.projects_failed += 1
            run.note(Failure(project=name, reason=compared.failure))
        self._changed[run.id] += compared.changed
        verdict, key = self._verdicts[run.id, name], (run.id, name)
        known = {damage.place for damage in verdict.damages}
        found = tuple(Damage(what, place, "differs") for what, place in compared.differing if place not in known)
        for damage in found:
            self._metrics.count_damage(damage.reason)
        self._verdicts[key] = replace(verdict, damages=(*verdict.damages, *found))
        return self._verdicts[key]

    async def give_up(self, name: NormalizedName, run: ActiveRun) -> None:
        """Forget a look that broke off."""
        key = (run.id, name)
        self._verdicts.pop(key, None)
        if (hand := self._under_way.pop(key, None)) is not None:
            with contextlib.suppress(WorkerLostError):
                await self._worker_pool.look(InspectionJob(*key, 0, self._share()), at=hand)

    async def checkpoint(self, run: ActiveRun) -> None:
        """Store how far a run is; a restart goes on from there."""
        verified, document = self._verified.pop(run.id, {}), run.document.model_copy(deep=True)
        try:
            await asyncio.to_thread(self._catalog.checkpoint, document, verified=verified)
        except StateError:
            self._verified[run.id] = verified | self._verified.get(run.id, {})  # for the next time
            raise

    def _share(self) -> int | None:
        """Return the bandwidth of each desk at which something is under way: all of it, where that is one."""
        return self._bandwidth and self._bandwidth // max(1, len(set(self._under_way.values())))

    async def aside(self, function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
        """Call what reads much in a thread of the verify's own."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*arguments, **options))

    async def _look_at_list(self, run: ActiveRun) -> None:
        damages = await self._list.find_damage()
        left = "" if run.request.repair or not damages else f"{len(damages)} {int(time.time())}"
        if not (left and self._catalog.recall(Fact.LIST_DAMAGED)):  # since it was found first
            self._catalog.remember(Fact.LIST_DAMAGED, left)
        for form, reason in damages:
            self._metrics.count_damage(reason)
            run.document.counts.files_damaged += 1
            if not run.request.repair:
                run.note(Failure(file=f"simple/{form}", reason=f"{reason} on disk; {_REPAIR}"))
        if run.request.repair:
            await self._list.repair()

    async def _look_for_orphans(self, run: ActiveRun) -> None:
        log.info("looking for orphans")
        search = self._orphans.search(run)
        try:
            while not run.over and await self.aside(_step, search):
                pass
        finally:
            await self.aside(search.close)

    async def _feed_all(self, run: ActiveRun, *, since: int | None) -> None:
        """Put all projects into the queue, and wait until they are done."""
        page, only, after = self._catalog.projects.to_verify, run.request.projects, ""
        while names := await asyncio.to_thread(page, since=since, only=only, after=after, limit=_NAMES_AT_ONCE):
            after = names[-1]
            await self._feed(run, names)
            if run.over:
                break
        await run.idle()

    async def _feed(self, run: ActiveRun, names: list[NormalizedName]) -> None:
        """Put projects into the queue, few at a time."""
        most = _AHEAD * len(os.sched_getaffinity(0))
        ahead = deque(names)
        while ahead:
            await run.room(most // 2)
            if run.over:
                return
            some = [ahead.popleft() for _ in range(min(len(ahead), most - run.left))]
            run.expect(len(some))
            await self._queue.put(Task(run.id, name, Action.VERIFY, run.priority) for name in some)

    def _survey(self, run: ActiveRun, since: int | None) -> tuple[list[str], int]:
        """Return the projects that are asked for in vain, and how many are to be looked at."""
        only = run.request.projects
        published = self._catalog.projects.to_verify(only=only, limit=len(only)) if only is not None else []
        return sorted(set(only or ()) - set(published)), self._catalog.projects.count_to_verify(since=since, only=only)


def _step(search: Generator[None, None, None]) -> bool:
    """Go on for a slice; return whether there is more."""
    ends = time.monotonic() + _SLICE_SECONDS
    return any(time.monotonic() > ends for _ in search)


def _since(run: ActiveRun) -> int:
    """Return the first whole second of a run: what was verified from then on, it has behind it."""
    began = run.document.started_at
    return 0 if began is None else math.ceil(began.timestamp())


def _failure(name: NormalizedName, damage: Damage) -> Failure:
    if damage.reason == "altered":
        return Failure(project=name, file=damage.what, reason=f"{_ALTERED}; {_REPAIR}")
    if damage.reason == "differs":
        return Failure(project=name, file=damage.what, reason=f"{_DIFFERS}; {_REPAIR}")
    return Failure(project=name, file=damage.what, reason=f"{damage.reason} on disk; {_REPAIR}")
