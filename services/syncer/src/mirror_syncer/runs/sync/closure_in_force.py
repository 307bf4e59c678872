"""The closure that is in force: resolved again when the policy, a page or the time has changed."""

import asyncio
import hashlib
import time
from collections.abc import Collection
from dataclasses import replace

import structlog
from packaging.utils import NormalizedName

from mirror_contract import ProjectState, UnmetReason
from mirror_syncer.catalog import StoredClosure
from mirror_syncer.config import Policy
from mirror_syncer.config.policy.closure import Closure
from mirror_syncer.errors import LimitExceededError
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.work.transfer import UnhashedFiles

log = structlog.get_logger()

Waves = tuple[tuple[NormalizedName, ...], ...]


class ClosureInForce:
    """
    Resolves dependencies, and puts the result into force.

    Attributes:
        last_waves: the order of the closure before, by which what leaves was published.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._policy = context.policy
        self._catalog = context.catalog
        self._resolving = asyncio.Lock()
        self.last_waves: Waves = ()

    async def resolve(self, run: ActiveRun, *, force: bool = False, lacking: Collection[NormalizedName] = ()) -> None:
        """
        Put a new closure into force if the policy, a page or the time has changed since the last one.

        Upstream is asked only for what is not known. Cancelled, it leaves the closure that was in force.

        Args:
            force: also if nothing has changed.
            lacking: projects whose files cannot be downloaded, in addition to those that the catalog knows.

        Raises:
            LimitExceededError: the closure exceeds ``[limits]``, or more than a closure may have; nothing was
                downloaded for it.
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
                try:
                    closure = await self._compute(run, offline=True)
                except LimitExceededError:
                    return False
                if closure is None:
                    return False
                from mirror_syncer.closure.limits import exceeded  # noqa: PLC0415 - as in _compute

                if exceeded(self._policy.current.limits, closure):
                    return False
                await self._put_into_force(closure)
                return True

    def lacking(self) -> set[NormalizedName]:
        """Return the projects with files that could not be downloaded."""
        return {
            row.name
            for row in self._catalog.projects.all_rows()
            if row.missing_files or (row.state is ProjectState.FAILING and not row.published)
        }

    async def _resolve(self, run: ActiveRun, *, force: bool, lacking: Collection[NormalizedName]) -> None:
        stored = await asyncio.to_thread(self._catalog.closures.get)
        policy = await asyncio.to_thread(self._policy_of, run)
        if stored is not None and not (force or lacking) and await self._is_current(stored, policy):
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
        # Resolver and solver take 0.03 s to import, and most syncs resolve nothing.
        from mirror_syncer.closure.closure_source import ClosureSource  # noqa: PLC0415 - see above
        from mirror_syncer.closure.resolution import resolve  # noqa: PLC0415 - see above

        settings, volume = self._context.settings, self._context.volume
        policy = await asyncio.to_thread(self._policy_of, run)
        source = ClosureSource(
            catalog=self._catalog,
            view=volume,
            index=None if offline else self._context.worker_pool.index,
            unhashed=UnhashedFiles(settings.without_hash, upstream=settings.upstream, digest_of=volume.other_digest),
            bounds=run.sync.serial_bounds,
            priority=run.priority,
            force=force,
            failed=run.sync.failed_requests,
        )
        lacking = {*lacking, *await asyncio.to_thread(self.lacking)}
        started = time.monotonic()
        async with run.upstream_wait(), source:
            closure = await resolve(policy, source=source, now=int(time.time()), lacking=lacking)
        if source.counts.not_made:
            return None
        log.info(
            "dependencies resolved",
            projects=len(closure.projects),
            unmet=len(closure.unmet),
            seconds=round(time.monotonic() - started, 2),
            pages=source.counts.pages,
            page_bytes=source.counts.page_bytes,
            metadata=source.counts.metadata,
            metadata_bytes=source.counts.metadata_bytes,
        )
        return closure

    async def _put_into_force(self, closure: Closure) -> None:
        self._follow(closure)
        marks = await asyncio.to_thread(self._marks, closure)
        now = int(time.time())
        stored = StoredClosure(closure, self._policy.digest, marks, now)
        await asyncio.to_thread(self._catalog.closures.store, stored)
        await asyncio.to_thread(self._catalog.requirement_lines.forget_unused, now=now)

    def _follow(self, closure: Closure) -> None:
        before = self._policy.current.closure
        if before is not None and before.waves and before.waves != closure.waves:
            self.last_waves = before.waves  # what leaves was published by these
        self._policy.follow(closure)

    def _policy_of(self, run: ActiveRun) -> Policy:
        """
        Return the policy in force, as far as a run applies it.

        A run that names projects asks for no page of other lines, so those that are not known yet are left out.
        """
        policy = self._policy.current
        if run.request.projects is None:
            return policy
        known = {*run.request.projects, *self._catalog.page_marks(sorted(policy.projects))}
        lines = tuple(line for line in policy.lines if line.name in known)
        return replace(
            policy, projects={name: policy.projects[name] for name in policy.projects.keys() & known}, lines=lines
        )

    async def _is_current(self, stored: StoredClosure, policy: Policy) -> bool:
        """Return whether nothing changed since a closure was resolved, and it covers all lines."""
        closure = stored.closure
        if any(
            root.name not in closure.pages for root in policy.lines if policy.blocked_names.reason(root.name) is None
        ):
            return False
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
        return hashlib.sha256(repr((marks, sorted(self.lacking()))).encode()).hexdigest()


def _check_limits(policy: Policy, closure: Closure) -> None:
    """
    Raise if a closure is larger than the operator wants.

    Raises:
        LimitExceededError: it exceeds ``[limits]``.
    """
    from mirror_syncer.closure.limits import exceeded  # noqa: PLC0415 - as in ClosureInForce._compute

    if problems := exceeded(policy.limits, closure):
        raise LimitExceededError(f"{'; '.join(problems)}; `mirror-syncer plan` lists the projects")
