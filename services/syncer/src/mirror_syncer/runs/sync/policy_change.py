"""What a new policy, or time alone, changes about what is published: at once, and without asking upstream."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Failure
from mirror_contract.distributions import parse_distribution, read_release
from mirror_syncer.catalog import Fact
from mirror_syncer.config import Fingerprints, Policy, fingerprint, is_this_format
from mirror_syncer.errors import PathError, VolumeFullError
from mirror_syncer.model.decision import Hold
from mirror_syncer.model.names import Filename
from mirror_syncer.model.page import File
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import Retirement
from mirror_syncer.runs import ActiveRun
from mirror_syncer.runs.context import RunContext
from mirror_syncer.runs.queue import Action, Task
from mirror_syncer.work.transfer import refusal

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
        Withdraw what is blocked; judge each page again that another policy made, or whose decision has expired.

        Upstream is asked for no page, only for files that are wanted now. The deletion guard judges afterwards which
        projects may be left without a file, see ``emptied_projects``. Cancelled, it leaves tasks in the queue, and the
        next sync does the rest, as it does for what failed or what the disk refused. A run that names projects applies
        only blocks.

        Raises:
            VolumeError: the project list cannot be written.
        """
        digest = self._policy.digest
        changed = await asyncio.to_thread(self._catalog.recall, Fact.JUDGED_POLICY) != digest
        whole = run.request.projects is None
        shown, failed = True, run.progress.counts.projects_failed
        if changed:
            shown = await self._show_blocked_names(run)
            await self._withdraw_blocked(run)
        elif not whole:
            return
        policy = self._policy.current
        due = self._due(policy, changed=changed) if whole else self._partly_blocked(policy)
        postponed = await self._judge(run, await asyncio.to_thread(lambda: list(due)))
        done = shown and not postponed and run.progress.counts.projects_failed == failed and not run.is_stopping
        if changed and whole and done:
            await asyncio.to_thread(self._catalog.remember, Fact.JUDGED_POLICY, digest)

    async def _judge(self, run: ActiveRun, names: list[NormalizedName]) -> set[NormalizedName]:
        """Judge stored pages again, and return the projects that the full disk has no room for."""
        if not names:
            return set()
        log.info("pages are judged again", projects=len(names))
        postponed = set[NormalizedName]()
        with run.progress.phase("transfer"):
            run.sync.postponed = postponed  # a full disk ends the run later, once what leaves has made room
            await self._run_in_batches(run, names, Action.JUDGE)
            run.sync.postponed = None
            if run.request.offline:  # no refresh follows, which would end the run
                await self._run_in_batches(run, postponed, Action.JUDGE)
        return postponed

    async def _show_blocked_names(self, run: ActiveRun) -> bool:
        """Have nginx say why a blocked project's page is missing; return False if the disk refuses: it is a text."""
        try:
            await asyncio.to_thread(self._write_blocked_names, self._policy.current)
        except (PathError, VolumeFullError) as error:
            run.report.add(Failure(reason=f"the reasons of blocked projects: {error}"))
            return False
        return True

    def _write_blocked_names(self, policy: Policy) -> None:
        blocked = policy.blocked_names
        globs = {pattern: reason for pattern, reason in blocked.patterns.items() if not pattern.startswith("/")}
        names: dict[str, str] = dict(blocked.names.items())
        self._volume.write_blocked_names(names, globs)

    async def _withdraw_blocked(self, run: ActiveRun) -> None:
        """Withdraw blocked projects, and blocked files that have left their page but not the disk."""
        policy = self._policy.current
        blocked = await asyncio.to_thread(lambda: list(self._blocked(policy)))
        run.report.add(*await asyncio.to_thread(self._withhold_retired, policy))
        if blocked:
            log.info("blocked projects leave", projects=len(blocked))
            with run.progress.phase("withdraw"):
                await self._project_list.publish_without(blocked)
                await self._run_in_batches(run, blocked, Action.WITHDRAW)

    async def _run_in_batches(self, run: ActiveRun, names: Iterable[NormalizedName], action: Action) -> None:
        left = iter(names)
        while tasks := [Task(run.id, name, action, Priority.CHANGED) for name in islice(left, _BATCH)]:
            await self._feed.run_to_completion(run, tasks)

    def _blocked(self, policy: Policy) -> Iterator[NormalizedName]:
        if policy.blocked_names:
            for name, _ in self._catalog.projects.listed():
                if policy.blocked_names.reason(name) is not None:
                    yield name

    def _withhold_retired(self, policy: Policy) -> list[Failure]:
        """
        Write the markers of blocked files in their grace period, and end it; return which could not be written.

        Those files leave all the same, only without the reason in nginx's answer.
        """
        leaving, unmarked = list[Retirement](), list[Failure]()
        for retirement in self._catalog.files.waiting():
            if (reason := _blocked_because(policy, retirement)) is None:
                continue
            filename = Filename(retirement.place.rpartition("/")[2])
            text = refusal(Hold(File(filename, "", retirement.sha256), None, reason))
            try:
                self._volume.hold(retirement.place, text, address=None)
            except (PathError, VolumeFullError) as error:
                unmarked.append(Failure(project=retirement.project, file=filename, reason=str(error)))
            leaving.append(replace(retirement, due_at=0, withdraw=True, retired_at=None))
        self._catalog.files.retire(leaving)
        return unmarked

    def _partly_blocked(self, policy: Policy) -> Iterator[NormalizedName]:
        """Yield the published projects with blocked versions that another policy judged."""
        for name in policy.blocks.keys() | policy.advisories.projects:
            row = self._catalog.projects.get(name)
            if row is None or not (row.published and is_this_format(row.fingerprint)) or not policy.blocks_of(name):
                continue
            project = policy.project(name)
            if project and row.fingerprint != fingerprint(project, legacy_json=policy.serve.legacy_json):
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


def _blocked_because(policy: Policy, retirement: Retirement) -> str | None:
    """Return why a file is blocked that no page names any more, or None if it is not."""
    name, filename = retirement.project, retirement.place.rpartition("/")[2]
    if (reason := policy.blocked_names.reason(name)) is not None:
        return reason
    if retirement.sha256 in policy.rules.hashes:
        return "[block] hashes names it"
    version, _ = read_release(name, filename)
    found = parse_distribution(filename)
    text = str(version) if version else found.version if found else ""
    blocks = policy.blocks_of(name)
    return next((one.reason for one in blocks if retirement.sha256 in one.hashes or one.affects(version, text)), None)
