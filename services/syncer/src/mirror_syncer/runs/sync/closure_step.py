"""
The closure in a sync: resolved again when something changed, then published in the order of the requirements.

A sync has three stages, so that one can install from each published page at each moment. While projects are
refreshed, new releases wait (``SyncState.defers``) and nothing leaves that was replaced (``retains``). Then new
releases come, what is required before what requires it. What is no longer wanted leaves last, in the opposite order.
"""

import asyncio
import hashlib
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState, UnmetReason
from mirror_syncer.catalog import StoredClosure
from mirror_syncer.closure.limits import exceeded
from mirror_syncer.closure.resolution import resolve
from mirror_syncer.closure.source import ClosureSource
from mirror_syncer.config import Policy, fingerprint
from mirror_syncer.config.policy.closure import Closure, Unmet
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.circle import Circle
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.work.transfer import UnhashedFiles

log = structlog.get_logger()

_PASSES = 3
"""A wheel that was not here before may require more than the first wheel of its release; the second pass reads it."""
_PRINTED = 3  # machines in a run's message
Waves = tuple[tuple[NormalizedName, ...], ...]


class ClosureStep:
    """Brings the dependencies of the selected projects; used by syncs and, between them, when releases mature."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._policy = context.policy
        self._catalog = context.catalog
        self._feed = context.feed
        self._resolving = asyncio.Lock()
        self._publishing_circles = (
            asyncio.Lock()
        )  # of two circles with the same projects, each would wait for the other
        self._last_waves: Waves = ()

    @property
    def follows(self) -> bool:
        """Whether the policy in force follows dependencies."""
        return self._policy.current.dependencies.follow

    def begin(self, run: ActiveRun) -> None:
        """
        Have new releases wait for their turn, and what is replaced for the end.

        On a full disk nothing waits for the end, since what comes may need the space of what leaves.
        """
        run.sync.defers = True
        run.sync.retains = not self._context.volume.is_full()

    async def resolve(self, run: ActiveRun, *, force: bool = False, lacking: Collection[NormalizedName] = ()) -> None:
        """
        Put a new closure into force if the policy, a page or the time has changed since the last one.

        Upstream is asked only for what is not known. Cancelled, it leaves the closure that was in force.

        Args:
            force: also if nothing has changed.
            lacking: projects whose files cannot be downloaded, besides those of which the catalog knows.

        Raises:
            ConfigurationError: the closure exceeds ``[limits]``; nothing was downloaded for it.
            AbandonedError: the run was cancelled.
        """
        async with self._resolving:
            with run.progress.phase("resolve"):
                await self._resolve(run, force=force, lacking=lacking)

    async def resolve_offline(self, run: ActiveRun) -> bool:
        """
        Put the closure of another policy into force if it follows from what is known; return whether it did.

        It fails for a policy that needs anything of upstream, or exceeds ``[limits]``: that is for ``resolve``.
        """
        async with self._resolving:
            stored = await asyncio.to_thread(self._catalog.closures.get)
            if stored is None or stored.policy_digest == self._policy.digest:
                return False
            with run.progress.phase("resolve"):
                closure = await self._compute(run, offline=True)
                if closure is None or exceeded(self._policy.current.limits, closure):
                    return False
                await self._put_into_force(closure)
                return True

    async def publish(self, run: ActiveRun, *, counted: Collection[NormalizedName]) -> None:
        """
        Publish what is new; what is required comes first. Cancelled, it leaves tasks in the queue.

        Args:
            counted: projects that the run has counted already.

        Raises:
            ConfigurationError: as in ``resolve``; wheels that are here now required more than was known.
            AbandonedError: the run was cancelled.
        """
        run.sync.defers = False
        tried, failed = dict[NormalizedName, str](), set[NormalizedName]()
        for _ in range(_PASSES):
            lacking = await asyncio.to_thread(self._lacking)
            new = await self._publish_waves(run, counted, tried, failed)
            counted = {*counted, *new}
            if run.is_stopping or not (new or lacking != await asyncio.to_thread(self._lacking)):
                break
            if not run.request.offline:
                await self.resolve(run, lacking=failed)

    async def settle(self, run: ActiveRun, *, withdraw: Collection[NormalizedName] = ()) -> None:
        """
        Let everything leave that is no longer wanted; what requires something leaves before that.

        A project with files that could not be downloaded keeps its old ones.

        Cancelled, it leaves tasks in the queue.

        Args:
            withdraw: projects that leave as a whole; the project list no longer names them.
        """
        # What could not be published has not replaced anything.
        run.sync.defers, run.sync.retains = True, False
        lacking = await asyncio.to_thread(self._lacking)
        policy, left = self._policy.current, set(withdraw)
        current = () if policy.closure is None else policy.closure.waves
        for wave in (*reversed(self._last_waves or current), *reversed(current)):
            if run.is_stopping:
                return
            leaving = left.intersection(wave)
            left -= leaving
            due = await asyncio.to_thread(self._due, policy, wave, published=True)
            shrinking = [name for name, _ in due if name not in lacking]
            await self._publish_wave(run, shrinking, counted=shrinking)
            await self._withdraw(run, leaving)
        await self._withdraw(run, left)
        self._last_waves = current

    def report(self, run: ActiveRun) -> None:
        """Report what the closure in force does not meet."""
        if (closure := self._policy.current.closure) is not None:
            _report(run, closure)

    async def _resolve(self, run: ActiveRun, *, force: bool, lacking: Collection[NormalizedName]) -> None:
        stored = await asyncio.to_thread(self._catalog.closures.get)
        if stored is not None and not (force or lacking) and await self._is_current(stored):
            _check_limits(self._policy.current, stored.closure)
            self._follow(stored.closure)
            return
        closure = await self._compute(run, force=force, lacking=lacking)
        assert closure is not None
        _check_limits(self._policy.current, closure)
        await self._put_into_force(closure)

    async def _compute(
        self,
        run: ActiveRun,
        *,
        force: bool = False,
        offline: bool = False,
        lacking: Collection[NormalizedName] = (),
    ) -> Closure | None:
        """Return the closure of the policy in force; None: it needs something of upstream, which is not asked."""
        settings, volume, policy = self._context.settings, self._context.volume, self._policy.current
        source = ClosureSource(
            catalog=self._catalog,
            view=volume,
            index=self._context.worker_pool.index,
            unhashed=UnhashedFiles(settings.without_hash, upstream=settings.upstream, digest_of=volume.other_digest),
            bounds=run.sync.serial_bounds,
            priority=run.priority,
            force=force,
            offline=offline,
        )
        lacking = {*lacking, *await asyncio.to_thread(self._lacking)}
        async with run.upstream_wait(), source:
            closure = await resolve(policy, source=source, now=int(time.time()), lacking=lacking)
            log.info("dependencies requested", **asdict(source.counts))
        return None if source.counts.not_made else closure

    async def _put_into_force(self, closure: Closure) -> None:
        self._follow(closure)
        marks = await asyncio.to_thread(self._marks, closure)
        stored = StoredClosure(closure, self._policy.digest, marks, int(time.time()))
        await asyncio.to_thread(self._catalog.closures.store, stored)

    def _follow(self, closure: Closure) -> None:
        before = self._policy.current.closure
        if before is not None and before.waves and before.waves != closure.waves:
            self._last_waves = before.waves  # what leaves was published by these
        self._policy.follow(closure)

    async def _is_current(self, stored: StoredClosure) -> bool:
        """Return whether nothing changed since a closure was resolved."""
        closure = stored.closure
        if stored.policy_digest != self._policy.digest or any(
            one.reason is UnmetReason.FAILED for one in closure.unmet
        ):
            return False
        if closure.expires_at is not None and closure.expires_at <= time.time():
            return False
        return stored.pages_digest == await asyncio.to_thread(self._marks, closure)

    def _marks(self, closure: Closure) -> str:
        """Return a digest of what a closure was resolved from: pages, and which files could not be downloaded."""
        marks = sorted(self._catalog.page_marks(sorted(closure.pages)).items())
        return hashlib.sha256(repr((marks, sorted(self._lacking()))).encode()).hexdigest()

    def _lacking(self) -> set[NormalizedName]:
        """Return the projects with files that could not be downloaded."""
        return {
            row.name
            for row in self._catalog.projects.all_rows()
            if row.missing_files or (row.state is ProjectState.FAILING and not row.published)
        }

    async def _publish_waves(
        self,
        run: ActiveRun,
        counted: Collection[NormalizedName],
        tried: dict[NormalizedName, str],
        failed: set[NormalizedName],
    ) -> set[NormalizedName]:
        """
        Publish wave by wave, and return what was published; with ``unmet = "withhold"`` stop after a failure.

        Args:
            tried: by which rules each project was published in this run; it grows.
            failed: the projects of circles that failed; it grows.
        """
        policy, published = self._policy.current, set[NormalizedName]()
        lacking = await asyncio.to_thread(self._lacking)
        for wave in () if policy.closure is None else policy.closure.waves:
            due = await asyncio.to_thread(self._due, policy, wave)
            names = [name for name, by in due if tried.get(name) != by]
            if not names or run.is_stopping:
                continue
            tried.update(due)
            published.update(names)
            run.progress.counts.projects_planned += sum(name not in counted for name in names)
            failed |= await self._publish_wave(run, names, counted)
            if policy.dependencies.withhold_unmet and (failed or await asyncio.to_thread(self._lacking) - lacking):
                break
        return published

    async def _publish_wave(
        self, run: ActiveRun, names: Collection[NormalizedName], counted: Collection[NormalizedName]
    ) -> set[NormalizedName]:
        """Publish projects, and return those of circles that failed."""
        circles = self._circles(names)
        tasks = [
            Task(
                run.id,
                name,
                Action.JUDGE if name in counted else Action.PUBLISH,
                Priority.CHANGED,
                circle=circles.get(name),
            )
            for name in names
        ]
        if circles:
            async with self._publishing_circles:
                await self._run(run, tasks)
        else:
            await self._run(run, tasks)
        return {name for name, circle in circles.items() if name in circle.failed}

    async def _run(self, run: ActiveRun, tasks: Iterable[Task]) -> None:
        with run.progress.phase("transfer"):
            await self._feed.run_to_completion(run, tasks)

    async def _withdraw(self, run: ActiveRun, names: Collection[NormalizedName]) -> None:
        with run.progress.phase("withdraw"):
            tasks = (Task(run.id, name, Action.WITHDRAW, Priority.CHANGED) for name in sorted(names))
            await self._feed.run_to_completion(run, tasks)

    def _circles(self, names: Collection[NormalizedName]) -> dict[NormalizedName, Circle]:
        """Return the circles of projects of which at least two are to be published."""
        policy, found = self._policy.current, dict[NormalizedName, Circle]()
        for members in () if policy.closure is None else policy.closure.circles:
            due = set(members).intersection(names)
            if len(due) > 1:
                circle = Circle(
                    due,
                    commit_group=self._context.commit_group,
                    all_or_none=policy.dependencies.withhold_unmet,
                )
                found |= dict.fromkeys(due, circle)
        return found

    def _due(
        self, policy: Policy, names: Iterable[NormalizedName], *, published: bool = False
    ) -> list[tuple[NormalizedName, str]]:
        """
        Return the projects that were published by other rules, and the fingerprint of those in force.

        Args:
            published: without those whose page is at hand and not published yet.
        """
        due = []
        for name in names:
            project_policy, row = policy.project(name), self._catalog.projects.get(name)
            if project_policy is None or row is None:
                continue
            by = fingerprint(project_policy, legacy_json=policy.serve.legacy_json)
            if row.published:
                is_due = row.fingerprint != by
            else:
                is_due = not published and self._catalog.kept_pages.get(name) is not None
            if is_due:
                due.append((name, by))
        return due


def _check_limits(policy: Policy, closure: Closure) -> None:
    """
    Raise if a closure is larger than the operator wants.

    Raises:
        ConfigurationError: it exceeds ``[limits]``.
    """
    if problems := exceeded(policy.limits, closure):
        remedy = "`mirror-syncer plan` lists them; raise the limit, or name fewer projects or machines"
        raise ConfigurationError("mirror.toml", [f"{problem}; {remedy}" for problem in problems])


def _report(run: ActiveRun, closure: Closure) -> None:
    """Report lines that cannot be installed, and what could not be looked at; remark on other unmet requirements."""
    unmet, reported = 0, {failure.project for failure in run.report.failures if failure.file is None}
    for one in closure.unmet:
        if not one.version and one.project in reported:
            continue  # a line whose page could not be read, for example
        if one.reason in (UnmetReason.NO_PROOF, UnmetReason.FAILED):
            run.report.add(Failure(project=one.project, reason=describe(one)))
        else:
            unmet += one.reason is not UnmetReason.UNKNOWN
    if unmet:
        what = "1 requirement is" if unmet == 1 else f"{unmet:,} requirements are"
        run.report.remarks.append(f"{what} not met on this mirror; see `mirrorctl projects --unmet`")


def describe(unmet: Unmet) -> str:
    """Return a sentence about an unmet requirement."""
    machines = ", ".join(unmet.machines[:_PRINTED])
    more = f" and {len(unmet.machines) - _PRINTED} more" if len(unmet.machines) > _PRINTED else ""
    where = f" on {machines}{more}" if machines else ""
    if unmet.reason is UnmetReason.NO_PROOF:
        # It names lines and machines.
        return f"{unmet.requirement}: {unmet.message}" if unmet.requirement.startswith("group ") else unmet.message
    by = f"{unmet.project} {unmet.version}".strip()
    return (
        f"{by} requires {unmet.requirement}{where}: {unmet.message}" if unmet.requirement else f"{by}: {unmet.message}"
    )
