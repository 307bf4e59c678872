"""What a new policy, or time alone, changes about what is published: at once, and without asking upstream."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import islice

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Fact
from mirror_syncer.config import Fingerprints, Policy, is_this_format
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task

log = structlog.get_logger()

_BATCH = 1_000  # tasks in the queue at a time; 886,000 would take 200 MB


class PolicyChange:
    """Applies the policy in force to what is published."""

    def __init__(self, context: RunContext) -> None:
        self._policy = context.policy
        self._catalog = context.catalog
        self._feed = context.feed
        self._volume = context.volume
        self._project_list = context.project_list

    async def apply(self, run: ActiveRun) -> None:
        """
        Withdraw blocked projects, and judge pages again that another policy made or whose decision has expired.

        Upstream is asked for no page, only for files that are wanted now. The deletion guard is not asked: what the
        operator excludes is no loss. Cancelled, it leaves tasks in the queue, and the next sync does the rest.

        Raises:
            VolumeError: the project list cannot be written.
        """
        digest = self._policy.digest
        changed = await asyncio.to_thread(self._catalog.recall, Fact.JUDGED_POLICY) != digest
        if changed:
            await asyncio.to_thread(self._show_blocked_names, self._policy.current)
        if changed and (blocked := await asyncio.to_thread(lambda: list(self._blocked(self._policy.current)))):
            log.info("blocked projects leave", projects=len(blocked))
            with run.progress.phase("withdraw"):
                await self._project_list.publish_without(blocked)
                await self._run(run, blocked, Action.WITHDRAW)
        names = await asyncio.to_thread(lambda: list(self._due(self._policy.current, changed=changed)))
        if names:
            log.info("pages are judged again", projects=len(names))
            run.sync.postponed = set()  # a full disk ends the run later, once what leaves has made room
            with run.progress.phase("transfer"):
                await self._run(run, names, Action.JUDGE)
            run.sync.postponed = None
        if changed and not run.is_stopping:
            await asyncio.to_thread(self._catalog.remember, Fact.JUDGED_POLICY, digest)

    def _show_blocked_names(self, policy: Policy) -> None:
        """Have nginx say why a blocked project's page is missing."""
        blocked = policy.blocked_names
        globs = {pattern: reason for pattern, reason in blocked.patterns.items() if not pattern.startswith("/")}
        names: dict[str, str] = dict(blocked.names.items())
        self._volume.write_blocked_names(names, globs)

    async def _run(self, run: ActiveRun, names: Iterable[NormalizedName], action: Action) -> None:
        left = iter(names)
        while tasks := [Task(run.id, name, action, Priority.CHANGED) for name in islice(left, _BATCH)]:
            await self._feed.run_to_completion(run, tasks)

    def _blocked(self, policy: Policy) -> Iterator[NormalizedName]:
        if policy.blocked_names:
            for name, _ in self._catalog.projects.listed():
                if policy.blocked_names.reason(name) is not None:
                    yield name

    def _due(self, policy: Policy, *, changed: bool) -> Iterator[NormalizedName]:
        """Yield the published projects to judge; a page of an older format is left to its refresh."""
        current = Fingerprints(policy)
        expired = {due.name for page in self._catalog.due.expired(now=int(time.time())) for due in page}
        if not changed:
            yield from expired
            return
        for name, by in self._catalog.projects.fingerprints():
            wanted = current.of(name) if is_this_format(by) else None
            if wanted is not None and (by != wanted or name in expired):
                yield name
