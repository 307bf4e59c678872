"""
What a sync would do to each project, and how much it would download, by upstream's pages as they are now.

Nothing is written, and the tree is not locked: it may be a running service's.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Policy, decide_removal
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import InvalidPageError, PathError, UnreachableError, UpstreamError
from mirror_syncer.model.decision import Decision, FileDecision
from mirror_syncer.model.page import File, Page
from mirror_syncer.model.project import GONE, GUARDED, ProjectRow
from mirror_syncer.publish import find_published
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.runs.sync.plan import Plan, Step
from mirror_syncer.upstream import Client, Gone, Index, Limits, NotModified
from mirror_syncer.volume import View
from mirror_syncer.work.transfer import EvidenceReader, Judged, Work, absence

MAX_ESTIMATED_PROJECTS = 5_000
"""A person waits, and so many pages take a minute or two. A longer plan is shown without an estimate."""
_ATTEMPTS = 3
_UNREACHABLE_IN_A_ROW = 10


@dataclass(frozen=True, slots=True)
class Sums:
    """A project's files, or many projects', in a few numbers."""

    fetch_files: int = 0
    fetch_bytes: int = 0
    """As far as sizes are known."""
    unknown_sizes: int = 0
    """Files to download whose size upstream's page does not give. # PEP 700: from 1.1 on"""
    have_files: int = 0
    dropped_files: int = 0
    refused_files: int = 0
    lost_files: int = 0
    """Published files that upstream no longer has, and that the deletion guard keeps."""
    leaving_files: int = 0
    leaving_bytes: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class ProjectEstimate:
    """A project's part of a plan."""

    name: NormalizedName
    action: str
    reason: str
    sums: Sums | None = None
    """None if upstream was not asked."""
    files: tuple[FileDecision, ...] | None = None
    """If they were asked for."""
    downloads: frozenset[str] = frozenset()
    """Of the files, the names of those to download."""
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a sync would report that the project failed."""
        return self.action in ("failing", "behind")


@dataclass(frozen=True, slots=True)
class _Outlook:
    """A project's estimate, and the one that replaces it if the deletion guard lets leave what upstream took."""

    guarded: ProjectEstimate
    allowed: ProjectEstimate | None = None
    """None if upstream took nothing."""


class Estimator:
    """
    Estimates a plan.

    Args:
        with_files: also list each file.
    """

    def __init__(
        self, *, policy: Policy, catalog: Catalog, view: View, judge: EvidenceReader, with_files: bool
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
        Estimate what a plan refreshes, in its order.

        Args:
            at_once: projects that are asked for together.
            progress: called with the number of projects that are done.

        Raises:
            UnreachableError: upstream answers for no project.
        """
        outlooks: dict[NormalizedName, _Outlook] = {}
        ahead = iter(plan.refresh)
        silent = 0

        async def worker() -> None:
            nonlocal silent
            for step in ahead:
                try:
                    outlooks[step.name] = await self._look(step)
                    silent = 0
                except UnreachableError as error:
                    silent += 1
                    if silent >= min(_UNREACHABLE_IN_A_ROW, len(plan.refresh)):
                        raise UnreachableError(
                            f"upstream does not answer: {error}; `plan --offline` asks nobody"
                        ) from error
                    outlooks[step.name] = await self._failing(step, str(error))
                progress(len(outlooks))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(at_once, len(plan.refresh))):
                    group.create_task(worker())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        taken = {name for name, outlook in outlooks.items() if outlook.allowed is not None}
        if await asyncio.to_thread(DeletionGuard(self._catalog).withholds, taken, allowed=plan.allowance):
            return [outlooks[step.name].guarded for step in plan.refresh]
        return [(found := outlooks[step.name]).allowed or found.guarded for step in plan.refresh]

    async def _look(self, step: Step) -> _Outlook:
        selection = self._policy.selection(step.name)
        if selection is None:
            return _Outlook(ProjectEstimate(step.name, "none", "not selected in mirror.toml"))
        row = await asyncio.to_thread(self._catalog.projects.get, step.name) or ProjectRow(step.name)
        work = Work(step.name, step.priority, row, selection, self._policy.serve, grace=0)
        try:
            on_disk = await asyncio.to_thread(self._judge.look_at_disk, work, row)
            async with self._judge.judge(work, row, on_disk, settled_too=True) as judged:
                match judged:
                    case Gone(index_missing):
                        return await self._gone(step, row, index_missing)
                    case NotModified():
                        raise AssertionError
                guarded = self._judged(step, judged, judged.decision)
                if not judged.decision.lost:
                    return _Outlook(guarded)
                # As the sync asks for the page once more when the guard has spoken.
                allowed = await asyncio.to_thread(judged.decide_again, allow_loss=True)
                return _Outlook(guarded, guarded if allowed.problem else self._judged(step, judged, allowed))
        except UnreachableError:
            raise
        except (UpstreamError, InvalidPageError, PathError) as error:
            return await self._failing(step, str(error))

    async def _failing(self, step: Step, reason: str) -> _Outlook:
        row = await asyncio.to_thread(self._catalog.projects.get, step.name)
        failing = ProjectEstimate(step.name, "failing", reason)
        return _Outlook(failing, failing if row and row.lost_files else None)

    async def _gone(self, step: Step, row: ProjectRow, index_missing: str | None) -> _Outlook:
        if not row.published:
            return _Outlook(ProjectEstimate(step.name, "failing", absence(row, index_missing)))
        published = await asyncio.to_thread(find_published, self._view, step.name)
        kept, gone = (
            decide_removal(Page(step.name, ()), published, reason=reason, guarded=reason is GUARDED)
            for reason in (GUARDED, GONE)
        )
        return _Outlook(
            self._estimate(step.name, "withheld", GUARDED, kept),
            self._estimate(step.name, "withdraw", GONE, gone),
        )

    def _judged(self, step: Step, judged: Judged, decision: Decision) -> ProjectEstimate:
        missing = () if judged.settled else decision.missing
        if decision.outdated is not None:
            action, reason = "behind", decision.outdated
        elif decision.problem is not None:
            action, reason = "failing", decision.problem
        elif missing or decision.leaving or judged.published is None or judged.condition.altered:
            action, reason = "refresh", step.reason
        elif decision.lost:
            action, reason = "withheld", decision.lost[0][1]
        else:
            action, reason = "keep", "nothing to download"
        return self._estimate(step.name, action, reason, decision, missing=missing)

    def _estimate(
        self,
        name: NormalizedName,
        action: str,
        reason: str,
        decision: Decision,
        *,
        missing: Sequence[File] = (),
    ) -> ProjectEstimate:
        sizes = [file.size for file in missing]
        sums = Sums(
            fetch_files=len(sizes),
            fetch_bytes=sum(size or 0 for size in sizes),
            unknown_sizes=sizes.count(None),
            have_files=len(decision.keep) - len(decision.missing),
            dropped_files=len(decision.drop),
            refused_files=len(decision.refused),
            lost_files=len(decision.lost),
            leaving_files=len(decision.leaving),
            leaving_bytes=sum(file.size or 0 for file, _ in decision.leaving),
        )
        files = tuple(decision.files) if self._with_files else None
        downloads = frozenset(file.filename for file in missing)
        return ProjectEstimate(name, action, reason, sums, files, downloads, decision.warnings)


@asynccontextmanager
async def open_index(settings: Settings) -> AsyncIterator[Index]:
    """
    Open the upstream, as a sync would ask it.

    Raises:
        ConfigurationError: its user and password cannot be read.
    """
    async with Client(settings.client_options(limits=Limits(attempts=_ATTEMPTS))) as client:
        yield Index(settings.upstream, client=client)
