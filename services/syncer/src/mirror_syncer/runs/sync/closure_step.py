"""The closure in a sync: resolved anew when something changed, then published in the order of the requirements."""

import asyncio
import hashlib
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure, UnmetReason
from mirror_syncer.catalog import StoredClosure
from mirror_syncer.closure.limits import exceeded
from mirror_syncer.closure.resolution import resolve
from mirror_syncer.closure.source import ClosureSource
from mirror_syncer.config import Policy, fingerprint
from mirror_syncer.config.policy.closure import Closure, Unmet
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.work.transfer import UnhashedFiles

log = structlog.get_logger()

_PASSES = 3
"""A wheel that was not here before may require more than the first wheel of its release; the second pass reads it."""
_PRINTED = 3  # unmet requirements in a run's message


class ClosureStep:
    """Brings the dependencies of the selected projects; used by syncs and, between them, when releases mature."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._policy = context.policy
        self._catalog = context.catalog
        self._feed = context.feed
        self._resolving = asyncio.Lock()

    @property
    def follows(self) -> bool:
        """Whether the policy in force follows dependencies."""
        return self._policy.current.dependencies.follow

    async def resolve(self, run: ActiveRun) -> None:
        """
        Put a new closure into force if the policy, a page or the time has changed since the last one.

        Upstream is asked only for what is not known. Cancelled, it leaves the closure that was in force.

        Raises:
            ConfigurationError: the closure exceeds ``[limits]``; nothing was downloaded for it.
        """
        async with self._resolving:
            with run.progress.phase("resolve"):
                await self._resolve(run)

    async def publish(self, run: ActiveRun, *, counted: Collection[NormalizedName]) -> None:
        """
        Publish what the closure in force needs and another one made, or none; requirements come first.

        Cancelled, it leaves tasks in the queue.

        Args:
            counted: projects that the run has counted already.

        Raises:
            ConfigurationError: as above; wheels that are here now required more than was known.
        """
        for _ in range(_PASSES):
            new = await self._publish(run, counted)
            counted = {*counted, *new}
            if not new or run.is_stopping:
                break
            await self.resolve(run)
        if (closure := self._policy.current.closure) is not None:
            _report(run, closure)

    async def _resolve(self, run: ActiveRun) -> None:
        policy, now = self._policy.current, int(time.time())
        stored = await asyncio.to_thread(self._catalog.closures.get)
        if stored is not None and not run.request.force and await self._is_current(stored, now=now):
            self._policy.follow(stored.closure)
            return
        settings, volume = self._context.settings, self._context.volume
        source = ClosureSource(
            catalog=self._catalog,
            view=volume,
            index=self._context.worker_pool.index,
            unhashed=UnhashedFiles(settings.without_hash, upstream=settings.upstream, digest_of=volume.other_digest),
            bounds=run.sync.serial_bounds,
            priority=run.priority,
            force=run.request.force,
        )
        async with run.upstream_wait(), source:
            closure = await resolve(policy, source=source, now=now)
            log.info("dependencies requested", **asdict(source.counts))
        _check_limits(policy, closure)
        self._policy.follow(closure)
        marks = await asyncio.to_thread(self._marks, closure)
        await asyncio.to_thread(self._catalog.closures.store, StoredClosure(closure, self._policy.digest, marks, now))

    async def _is_current(self, stored: StoredClosure, *, now: int) -> bool:
        """Return whether nothing changed since a closure was resolved."""
        closure = stored.closure
        if stored.policy_digest != self._policy.digest or any(
            one.reason is UnmetReason.FAILED for one in closure.unmet
        ):
            return False
        if closure.expires_at is not None and closure.expires_at <= now:
            return False
        return stored.pages_digest == await asyncio.to_thread(self._marks, closure)

    def _marks(self, closure: Closure) -> str:
        """Return a digest of the pages that a closure was resolved from."""
        marks = sorted(self._catalog.page_marks(sorted(closure.pages)).items())
        return hashlib.sha256(repr(marks).encode()).hexdigest()

    async def _publish(self, run: ActiveRun, counted: Collection[NormalizedName]) -> set[NormalizedName]:
        """Publish wave by wave, and return what was published."""
        policy, published = self._policy.current, set[NormalizedName]()
        for wave in () if policy.closure is None else policy.closure.waves:
            names = await asyncio.to_thread(self._due, policy, wave)
            if not names or run.is_stopping:
                continue
            published.update(names)
            run.progress.counts.projects_planned += sum(name not in counted for name in names)
            with run.progress.phase("transfer"):
                actions = ((name, Action.JUDGE if name in counted else Action.PUBLISH) for name in names)
                tasks = (Task(run.id, name, action, Priority.CHANGED) for name, action in actions)
                await self._feed.run_to_completion(run, tasks)
        return published

    def _due(self, policy: Policy, names: Iterable[NormalizedName]) -> list[NormalizedName]:
        """Return the projects that were published by other rules, or not yet, and whose page is at hand."""
        due = []
        for name in names:
            project_policy, row = policy.project(name), self._catalog.projects.get(name)
            if project_policy is None or row is None:
                continue
            if row.published:
                if row.fingerprint != fingerprint(project_policy, legacy_json=policy.serve.legacy_json):
                    due.append(name)
            elif self._catalog.kept_pages.get(name) is not None:
                due.append(name)
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
    unmet = 0
    for one in closure.unmet:
        if one.reason in (UnmetReason.NO_PROOF, UnmetReason.FAILED):
            run.report.add(Failure(project=one.project, reason=describe(one)))
        else:
            unmet += one.reason is not UnmetReason.UNKNOWN
    if unmet:
        run.report.remarks.append(f"{unmet:,} requirement(s) are not met here: `mirrorctl projects --unmet` lists them")


def describe(unmet: Unmet) -> str:
    """Return a sentence about an unmet requirement."""
    machines = ", ".join(unmet.machines[:_PRINTED])
    more = f" and {len(unmet.machines) - _PRINTED} more" if len(unmet.machines) > _PRINTED else ""
    where = f" on {machines}{more}" if machines else ""
    if unmet.reason is UnmetReason.NO_PROOF:
        return f"{unmet.requirement} cannot be installed{where}: {unmet.message}"
    by = f"{unmet.project} {unmet.version}".strip()
    return (
        f"{by} requires {unmet.requirement}{where}: {unmet.message}" if unmet.requirement else f"{by}: {unmet.message}"
    )
