"""
The engine: starts the runs of the book, has each done by whoever knows how, keeps its progress, and ends it.

Every run's projects go through one queue, so a person's `sync requests` overtakes a first sync of everything. One whole
sync is under way at a time; runs that name projects go beside it.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog

from mirror_contract import Failure, Run, RunKind, RunRequest, RunState
from mirror_syncer.catalog import Catalog, Fact
from mirror_syncer.config import PolicySource
from mirror_syncer.errors import MirrorError, PathError, StateError, VolumeError
from mirror_syncer.metrics import COMPLETE, Metrics
from mirror_syncer.publish.commit_group import CommitGroup
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.publish.reconciliation import Reconciliation
from mirror_syncer.runs import ActiveRun, Runs, ending
from mirror_syncer.runs.clock import Clock
from mirror_syncer.runs.collection import Collection
from mirror_syncer.runs.dispatcher import Dispatcher
from mirror_syncer.runs.queue import WorkQueue
from mirror_syncer.runs.sync import WholeIndexSync
from mirror_syncer.runs.sync.recheck import Recheck
from mirror_syncer.runs.sync.selection import SelectionSync
from mirror_syncer.runs.upstream_change import switched_from, upstream_changed
from mirror_syncer.runs.verify.verifier import Verifier
from mirror_syncer.volume import Volume

log = structlog.get_logger()

_PROGRESS_SECONDS = 10.0
_NAMED_AT_ONCE = 10  # runs that name projects
_CANCEL_SECONDS = 5.0  # enough for what is nearly done
_STOP_SECONDS = 60.0  # for current projects to finish; compose kills after 120


class Engine:
    """Works until stopped."""

    def __init__(
        self,
        *,
        policy: PolicySource,
        catalog: Catalog,
        volume: Volume,
        runs: Runs,
        queue: WorkQueue,
        dispatcher: Dispatcher,
        group: CommitGroup,
        project_list: ProjectList,
        verifier: Verifier,
        metrics: Metrics,
        selected: SelectionSync,
        everything: WholeIndexSync,
        collection: Collection,
        reconciliation: Reconciliation,
        recheck: Recheck,
        clock: Clock,
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._volume = volume
        self._runs = runs
        self._queue = queue
        self._dispatcher = dispatcher
        self._group = group
        self._list = project_list
        self._verifier = verifier
        self._metrics = metrics
        self._selected = selected
        self._everything = everything
        self._collection = collection
        self._reconciliation = reconciliation
        self._recheck = recheck
        self._clock = clock
        self._grace_seconds = _STOP_SECONDS
        self._stopping = asyncio.Event()
        self._reconciling = asyncio.Lock()

    async def run(self) -> None:
        """
        Work until ``stop``.

        Cancelled, it leaves what ``stop`` leaves, and does not wait for current projects.
        """
        with contextlib.suppress(VolumeError):  # each run tries again, and fails by it
            await self._reconcile()
        committer = asyncio.create_task(self._group.run())
        background = [asyncio.create_task(work) for work in (self._recheck.run(), self._clock.run())]
        executions: set[asyncio.Task[None]] = set()
        self._dispatcher.start()
        try:
            while not self._stopping.is_set():
                self._runs.asked.clear()
                for run in self._runs.waiting():
                    if not self._must_wait(run.request):
                        self._runs.start(run)
                        executions.add(execution := asyncio.create_task(self._execute(run)))
                        execution.add_done_callback(executions.discard)
                await self._runs.asked.wait()
        finally:
            for work in background:
                work.cancel()
            await self._dispatcher.stop(grace_seconds=self._grace_seconds if self._stopping.is_set() else 0)
            await _cancel([*executions, committer, *background])
            self._verifier.close()
            for run in self._runs.running():
                await self._save(run)

    @property
    def reconciles(self) -> bool:
        """Whether tree and catalog are of different times, so that a sync has pages to fetch again."""
        return self._reconciliation.mismatch() is not None

    def stop(self, *, grace_seconds: float | None = None) -> None:
        """Finish the current projects within their grace, begin no other; the runs go on after the next start."""
        if grace_seconds is not None:
            self._grace_seconds = grace_seconds
        self._stopping.set()
        self._runs.asked.set()

    async def cancel(self, run: ActiveRun) -> None:
        """
        Let a run end after its current projects, without those that still wait for upstream when the grace is over.

        They are as they were before. What they had fetched stays for the next run, parts of large files included.
        """
        run.cancel(grace_seconds=_CANCEL_SECONDS)
        if run.document.state is RunState.QUEUED:
            self._finish(run)
        else:
            run.task_done(await self._queue.drop(run.id))

    def _must_wait(self, request: RunRequest) -> bool:
        """
        Return whether a run must wait for others.

        Two whole ones of a kind would do everything twice; of those that name projects a few are enough to keep busy
        what is kept for them.
        """
        running = [run.request for run in self._runs.running()]
        if request.projects is not None:
            return sum(other.projects is not None for other in running) >= _NAMED_AT_ONCE
        return any(other.projects is None and other.kind is request.kind for other in running)

    async def _execute(self, run: ActiveRun) -> None:
        structlog.contextvars.bind_contextvars(run=run.id, kind=run.request.kind)
        if run.resumed:
            run.begin_again()
        progress = asyncio.create_task(self._report(run))
        try:
            await asyncio.to_thread(self._runs.save, run)
            await asyncio.to_thread(self._volume.check_present)
            await self._reconcile(run)
            await asyncio.to_thread(self._volume.trim_ballast)
            await self._clock.look()  # before anything leaves because its time has come
            match run.request.kind:
                case RunKind.SYNC:
                    await self._sync(run)
                case RunKind.VERIFY:
                    await self._verify(run)
                case RunKind.COLLECT:
                    await self._reload_policy(run)  # its grace may have changed
                    await self._collection.run(run)
        except PathError as error:
            run.fatal = run.fatal or await asyncio.to_thread(self._whole_tree, error)
        except MirrorError as error:
            run.fatal = run.fatal or error
        except Exception as error:
            log.exception("run failed")
            run.fatal = run.fatal or error
        finally:
            await _cancel([progress])
        self._finish(run)

    async def _reconcile(self, run: ActiveRun | None = None) -> None:
        """
        Look whether tree and catalog still belong together, and bring them together where they do not.

        Raises:
            VolumeError: they do not, and others work at them.
        """
        async with self._reconciling:
            if (mismatch := await asyncio.to_thread(self._reconciliation.mismatch)) and self._queue.in_hand():
                raise VolumeError(f"{mismatch}, and other runs work at it: cancel them, or restart the syncer")
            await asyncio.to_thread(self._reconciliation.run)
            if mismatch and run is not None:
                run.remarks.append(f"{mismatch}: pages that differ are fetched again")

    def _whole_tree(self, error: PathError) -> PathError | VolumeError:
        """Return what is wrong with the tree as a whole, or else the error of the one path that ended a run."""
        try:
            self._volume.check_usable()
        except VolumeError as of_all:
            return of_all
        return error

    async def _sync(self, run: ActiveRun) -> None:
        await self._reload_policy(run)
        run.policy_digest = self._policy.digest
        run.bounds = await asyncio.to_thread(self._catalog.serial_bounds, everything=self._policy.current.everything)
        whole = run.request.projects is None
        if whole and (old := await asyncio.to_thread(switched_from, self._catalog)):
            run.remarks.append(upstream_changed(old, self._catalog.recall(Fact.UPSTREAM) or ""))
        if self._policy.current.everything and run.request.projects is None:
            await self._everything.sync(run)
        else:
            await self._selected.sync(run)

    async def _reload_policy(self, run: ActiveRun) -> None:
        """Put mirror.toml into force; a file that cannot be used makes the run incomplete, and stops nothing."""
        run.note(*(Failure(reason=reason) for reason in await asyncio.to_thread(self._policy.reload)))

    async def _verify(self, run: ActiveRun) -> None:
        await self._verifier.run(run)
        if run.request.repair:
            with run.phase("publish"):
                await self._list.publish()
            await self._collection.run(run)

    def _finish(self, run: ActiveRun) -> None:
        state, message = ending(run)
        with contextlib.suppress(StateError):
            self._note_news(run)
        self._runs.end(run, state, message=message)
        document = run.document
        self._metrics.count_run(document, phases=run.phases)
        whole_sync = run.request.projects is None and run.request.kind is RunKind.SYNC
        if whole_sync and state is RunState.SUCCEEDED and run.policy_digest is not None:
            with contextlib.suppress(StateError):  # one sync more, after the next start
                self._catalog.remember(Fact.SYNCED_POLICY, run.policy_digest)
        if whole_sync and state is not RunState.CANCELLED:
            with contextlib.suppress(StateError):  # the next sync notes it
                self._note_withheld(document)
        if whole_sync and state in COMPLETE:
            with contextlib.suppress(StateError):  # the next one tells of it again
                self._catalog.remember(Fact.SWITCHED_FROM, "")
        began, ended = document.started_at, document.finished_at
        seconds = (ended - began).total_seconds() if began and ended else 0.0
        run.failure_log.sum_up()
        say = log.error if state is RunState.FAILED else log.info
        numbers = {key: value for key, value in document.counts.model_dump().items() if value}
        say(
            "run ended",
            run=run.id,  # one that was cancelled while it waited has bound none
            kind=run.request.kind,
            trigger=document.trigger,
            state=state,
            seconds=round(seconds, 1),
            phases={phase: round(took, 1) for phase, took in run.phases.items()},
            **numbers,
            **({"why": message} if message else {}),
        )

    def _note_withheld(self, sync: Run) -> None:
        """Keep since when the deletion guard holds removals back, until a sync ends that holds back none."""
        since = self._catalog.recall(Fact.WITHHELD_SINCE)
        if not sync.counts.projects_withheld:
            if since and sync.state in COMPLETE:
                self._catalog.remember(Fact.WITHHELD_SINCE, "")
        elif not since and sync.finished_at is not None:
            self._catalog.remember(Fact.WITHHELD_SINCE, str(int(sync.finished_at.timestamp())))

    async def _save(self, run: ActiveRun) -> None:
        """Keep a run's progress, a verify's with what it has behind it; a disk that says no ends no process."""
        try:
            if run.request.kind is RunKind.VERIFY:
                await self._verifier.checkpoint(run)
            else:
                await asyncio.to_thread(self._runs.save, run)
            await asyncio.to_thread(self._note_news, run)
        except StateError as error:
            log.warning("progress is not kept", why=str(error))

    def _note_news(self, run: ActiveRun) -> None:
        """Remember when upstream last had news; a run of weeks must not wait for its end."""
        if run.news:
            run.news = False
            self._catalog.remember(Fact.UPSTREAM_CHANGED_AT, str(int(time.time())))

    async def _report(self, run: ActiveRun) -> None:
        """Keep a run's progress, and tell of it."""
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            counts = run.document.counts
            await self._save(run)
            run.failure_log.sum_up_again()
            log.info(
                "progress",
                done=counts.projects_done,
                of=counts.projects_planned,
                files=counts.files_fetched or counts.files_verified,
                bytes=counts.bytes_fetched or counts.bytes_verified,
            )


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
