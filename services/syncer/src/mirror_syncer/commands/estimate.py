"""
An estimate of a sync by upstream's current pages: what it would do to each project, and how much it would download.

It writes nothing and does not lock the tree, which a running service may hold.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.remembered_index import MAX_UNREACHABLE_IN_A_ROW, RememberedIndex
from mirror_syncer.config import Policy, decide_removal, fingerprint
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidPageError, PathError, UnreachableError, UpstreamError
from mirror_syncer.model.decision import Decision, FileDecision
from mirror_syncer.model.page import File, Page, PublishedPage, names
from mirror_syncer.model.project import GONE, GUARDED, ProjectRow
from mirror_syncer.publish import find_published
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.runs.sync.plan import Plan, Step
from mirror_syncer.upstream import Client, Gone, Limits, NotModified
from mirror_syncer.volume import AnyView
from mirror_syncer.work.transfer import EvidenceReader, Judged, Work, absence

MAX_ESTIMATED_PROJECTS = 5_000
"""A person waits, and this many pages take a minute or two. A longer plan gets no estimate."""
_MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Sums:
    """Totals of the files of one or more projects."""

    fetch_files: int = 0
    fetch_bytes: int = 0
    """Only of files whose size is known."""
    unknown_sizes: int = 0
    """Files to download whose size upstream's page does not give; API 1.1 and later gives sizes (PEP 700)."""
    have_files: int = 0
    held_files: int = 0
    """Files that wait, published before or not."""
    blocked_files: int = 0
    dropped_files: int = 0
    refused_files: int = 0
    lost_files: int = 0
    """Published files that upstream no longer has, and that the deletion guard keeps."""
    leaving_files: int = 0
    """Published files that leave their page, also because they are held or blocked."""
    leaving_bytes: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class ProjectEstimate:
    """The estimate of one project."""

    name: NormalizedName
    action: str
    reason: str
    sums: Sums | None = None
    """None if upstream was not asked."""
    files: tuple[FileDecision, ...] | None = None
    """None if the files are not listed."""
    downloads: frozenset[str] = frozenset()
    """Names of the files to download."""
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a sync would report that the project failed."""
        return self.action in ("failing", "behind")


@dataclass(frozen=True, slots=True)
class _Estimates:
    """A project's estimates with and without the deletion guard, since only the whole plan decides which one holds."""

    guarded: ProjectEstimate
    allowed: ProjectEstimate | None = None
    """None if upstream removed nothing."""


class Estimator:
    """
    Estimates a plan.

    Args:
        with_files: also list each file.
    """

    def __init__(
        self, *, policy: Policy, catalog: Catalog, view: AnyView, judge: EvidenceReader, with_files: bool
    ) -> None:
        self._policy = policy
        self._catalog = catalog
        self._view = view
        self._judge = judge
        self._with_files = with_files

    async def estimate(
        self, plan: Plan, *, at_once: int, progress: Callable[[int], None] = lambda _: None
    ) -> list[ProjectEstimate]:
        """
        Estimate each project that a plan refreshes, in the plan's order.

        Args:
            at_once: number of projects that are requested at the same time.
            progress: called with the number of finished projects.

        Raises:
            UnreachableError: upstream does not answer.
        """
        estimates: dict[NormalizedName, _Estimates] = {}
        steps = iter(plan.refresh)
        unreachable = 0

        async def worker() -> None:
            nonlocal unreachable
            for step in steps:
                try:
                    estimates[step.name] = await self._estimate_project(step)
                    unreachable = 0
                except UnreachableError as error:
                    unreachable += 1
                    if unreachable >= min(MAX_UNREACHABLE_IN_A_ROW, len(plan.refresh)):
                        raise UnreachableError(
                            f"upstream does not answer: {error}; `plan --offline` works without it"
                        ) from error
                    estimates[step.name] = await self._estimate_failure(step, str(error))
                progress(len(estimates))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(at_once, len(plan.refresh))):
                    group.create_task(worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        losing = {name for name, estimate in estimates.items() if estimate.allowed is not None}
        if await asyncio.to_thread(DeletionGuard(self._catalog).withholds, losing, allowed=plan.allowance):
            return [estimates[step.name].guarded for step in plan.refresh]
        return [(found := estimates[step.name]).allowed or found.guarded for step in plan.refresh]

    async def _estimate_project(self, step: Step) -> _Estimates:
        policy = self._policy.project(step.name)
        if policy is None:
            return _Estimates(ProjectEstimate(step.name, "none", "not selected"))
        row = await asyncio.to_thread(self._catalog.projects.get, step.name) or ProjectRow(step.name)
        serve = self._policy.serve
        by = fingerprint(policy, legacy_json=serve.legacy_json)
        work = Work(step.name, step.priority, row, policy, serve, grace=0, fingerprint=by)
        try:
            on_disk = await asyncio.to_thread(self._judge.look_at_disk, work, row)
            async with self._judge.judge(work, row, on_disk, settled_too=True) as judged:
                match judged:
                    case Gone(index_missing):
                        return await self._estimate_gone(step, row, index_missing, place=policy.selection.place)
                    case NotModified():
                        raise AssertionError
                guarded = self._estimate_decision(step, judged, judged.decision)
                if not judged.decision.lost:
                    return _Estimates(guarded)
                # A sync, too, decides again after the guard.
                allowed = await asyncio.to_thread(judged.decide_again, allow_loss=True)
                return _Estimates(
                    guarded, guarded if allowed.problem else self._estimate_decision(step, judged, allowed)
                )
        except UnreachableError:
            raise
        except (UpstreamError, InvalidPageError, PathError) as error:
            return await self._estimate_failure(step, str(error))

    async def _estimate_failure(self, step: Step, reason: str) -> _Estimates:
        row = await asyncio.to_thread(self._catalog.projects.get, step.name)
        failing = ProjectEstimate(step.name, "failing", reason)
        return _Estimates(failing, failing if row and row.lost_files else None)

    async def _estimate_gone(self, step: Step, row: ProjectRow, index_missing: str | None, *, place: str) -> _Estimates:
        if not row.published:
            return _Estimates(ProjectEstimate(step.name, "failing", absence(row, index_missing, place=place)))
        published = await asyncio.to_thread(find_published, self._view, step.name)
        kept, gone = (
            decide_removal(Page(step.name, ()), published, reason=reason, guarded=reason is GUARDED)
            for reason in (GUARDED, GONE)
        )
        return _Estimates(
            self._estimate(step.name, "withheld", GUARDED, kept),
            self._estimate(step.name, "withdraw", GONE, gone),
        )

    def _estimate_decision(self, step: Step, judged: Judged, decision: Decision) -> ProjectEstimate:
        missing = () if judged.settled else decision.missing
        leaving = _leaving(decision, judged.published)
        if decision.outdated is not None:
            action, reason = "behind", decision.outdated
        elif decision.problem is not None:
            action, reason = "failing", decision.problem
        elif missing or leaving or judged.published is None or judged.condition.altered:
            action, reason = "refresh", step.reason
        elif decision.lost:
            action, reason = "withheld", decision.lost[0][1]
        else:
            action, reason = "keep", "nothing to download"
        return self._estimate(step.name, action, reason, decision, missing=missing, leaving=leaving)

    def _estimate(
        self,
        name: NormalizedName,
        action: str,
        reason: str,
        decision: Decision,
        *,
        missing: Sequence[File] = (),
        leaving: Sequence[File] | None = None,
    ) -> ProjectEstimate:
        sizes = [file.size for file in missing]
        leaving = _leaving(decision, None) if leaving is None else leaving
        sums = Sums(
            fetch_files=len(sizes),
            fetch_bytes=sum(size or 0 for size in sizes),
            unknown_sizes=sizes.count(None),
            have_files=len(decision.keep) - len(decision.missing),
            held_files=len(decision.hold),
            blocked_files=len(decision.blocked),
            dropped_files=len(decision.drop),
            refused_files=len(decision.refused),
            lost_files=len(decision.lost),
            leaving_files=len(leaving),
            leaving_bytes=sum(file.size or 0 for file in leaving),
        )
        files = tuple(decision.files) if self._with_files else None
        downloads = frozenset(file.filename for file in missing)
        return ProjectEstimate(name, action, reason, sums, files, downloads, decision.warnings)


def _leaving(decision: Decision, published: PublishedPage | None) -> list[File]:
    """Return the published files that leave their page, also those that are held or blocked from now on."""
    ours = published.files if published else {}
    return [*(file for file, _ in decision.leaving), *(file for file in decision.withheld if names(ours, file))]


@asynccontextmanager
async def open_index(settings: Settings) -> AsyncIterator[RememberedIndex]:
    """
    Open a client of upstream's index, with the settings of a sync.

    Raises:
        ConfigurationError: its user and password cannot be read.
    """
    async with Client(settings.client_options(limits=Limits(attempts=_MAX_ATTEMPTS))) as client:
        yield RememberedIndex(settings.upstream, client=client)
