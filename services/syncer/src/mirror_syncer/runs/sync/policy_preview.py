"""
What a candidate for ``mirror.toml`` would change about published projects and their files; upstream is not asked.

A project is concerned if the policy in force and the candidate want different files of it, by their fingerprints. Each
of these is judged by both, from the stored pages: the largest first, as many as the time allows.
"""

import heapq
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple, Protocol

from packaging.utils import NormalizedName

from mirror_contract import FileChanges, FilePreview, ProjectChanges
from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Condition, Fingerprints, Policy, decide, decide_removal
from mirror_syncer.errors import PathError
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.page import File, Page, PublishedPage

MAX_JUDGED_PROJECTS = 5_000
_MAX_LARGEST = 10
_MAX_NAMES = 20


class _Published(NamedTuple):
    """A published project, by its size."""

    bytes: int
    name: NormalizedName


class Pages(Protocol):
    """What reads pages, as ``StoredPages`` does."""

    def read(self, name: NormalizedName, /) -> tuple[Page, PublishedPage | None]:
        """Return upstream's page as it was last taken, and ours."""


class _Sum:
    """The changes of several projects, and the largest of them."""

    def __init__(self) -> None:
        self.total = FileChanges()
        self._largest = list[tuple[tuple[int, int], str, ProjectChanges]]()

    def add(self, changes: ProjectChanges) -> None:
        self.total.add(changes)
        if changes.weight > (0, 0):
            heapq.heappush(self._largest, (changes.weight, changes.project, changes))
            if len(self._largest) > _MAX_LARGEST:
                heapq.heappop(self._largest)

    def largest(self) -> list[ProjectChanges]:
        return [changes for _, _, changes in sorted(self._largest, reverse=True)]


class ProjectsConcerned:
    """
    The published projects that a candidate changes; finding them among 886,000 takes some seconds.

    Attributes:
        leaving: how many projects the candidate does not want, or blocks.
        leaving_names: the first twenty of them.
        guarded: how many of them the deletion guard counts.
        others: how many other projects it concerns.
        largest: the largest of these, the very largest first.
        files: what changes about the files of those that leave.
    """

    def __init__(
        self,
        current: Policy,
        candidate: Policy,
        catalog: Catalog,
        *,
        limit: int = MAX_JUDGED_PROJECTS,
        replaceable: Collection[NormalizedName] = (),
    ) -> None:
        self.leaving = self.guarded = self.others = 0
        self.leaving_names = list[str]()
        self.files = _Sum()
        self._candidate = candidate
        # With scope everything, what is not admitted leaves as if upstream no longer had it.
        self._replaceable = frozenset[NormalizedName]() if candidate.everything else frozenset(replaceable)
        self.largest = [one.name for one in heapq.nlargest(limit, self._concerned(current, catalog))]

    def _concerned(self, current: Policy, catalog: Catalog) -> Iterator[_Published]:
        before, after = Fingerprints(current), Fingerprints(self._candidate)
        for name, files, size in catalog.projects.sizes():
            wanted = after.of(name)
            if wanted is None:
                self._leave(name, files, size)
            elif wanted != before.of(name):
                self.others += 1
                yield _Published(size, name)

    def _leave(self, name: NormalizedName, files: int, size: int) -> None:
        self.leaving += 1
        if len(self.leaving_names) < _MAX_NAMES:
            self.leaving_names.append(name)
        if self._candidate.blocked_names.reason(name) is not None:
            self.files.add(ProjectChanges(project=name, blocked=files))
        else:
            self.guarded += name not in self._replaceable
            self.files.add(ProjectChanges(project=name, leaving=files, freed_bytes=size))


class FilePreviewer:
    """
    Compares what two policies do with files.

    Args:
        seconds: when to stop, however many projects are left.
    """

    def __init__(
        self,
        current: Policy,
        candidate: Policy,
        *,
        pages: Pages,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._current = current
        self._candidate = candidate
        self._pages = pages
        self._clock = clock
        self._deadline = clock() + seconds
        self._now = int(time.time())

    def preview(self, concerned: ProjectsConcerned) -> FilePreview:
        """Return what changes about the files of leaving projects, and of the largest that stay."""
        files = concerned.files
        preview = FilePreview(projects=concerned.others + concerned.leaving, judged=concerned.leaving)
        for name in concerned.largest:
            if self._clock() > self._deadline:
                break
            files.add(self._judge(name, preview))
            preview.judged += 1
        preview.total, preview.largest = files.total, files.largest()
        return preview

    def _judge(self, name: NormalizedName, preview: FilePreview) -> ProjectChanges:
        try:
            page, published = self._pages.read(name)
        except PathError:
            return ProjectChanges(project=name)  # the next run reports it
        before, after = self._decide(self._current, page, published), self._decide(self._candidate, page, published)
        if after.emptied:
            preview.emptied += 1
            after = self._decide(self._candidate, page, published, allow_loss=True)
        if after.problem is not None and before.problem is None:
            preview.unmatched += 1
            if len(preview.unmatched_lines) < _MAX_NAMES:
                preview.unmatched_lines.append(after.problem)
        return _compare(name, before, after)

    def _decide(
        self, policy: Policy, page: Page, published: PublishedPage | None, *, allow_loss: bool = False
    ) -> Decision:
        project = policy.project(page.name)
        if project is None:  # it is published still: the deletion guard keeps it
            return decide_removal(page, published, reason="", guarded=True)
        return decide(page, published, project, condition=Condition(allow_loss=allow_loss), now=self._now)


def _compare(name: NormalizedName, before: Decision, after: Decision) -> ProjectChanges:
    """Return what changes about a project's files from one decision to another."""
    served, serves = _contents(before.served), _contents(after.served)
    held, holds = (_contents(hold.file for hold in decision.hold) for decision in (before, after))
    blocked, blocks = (_contents(file for file, _ in decision.blocked) for decision in (before, after))
    missing, misses = _contents(before.missing), _contents(after.missing)
    fetched = [file for key, file in misses.items() if key not in missing]
    leaving = [file for key, file in served.items() if key not in serves and key not in holds and key not in blocks]
    return ProjectChanges(
        project=name,
        arriving=len(serves.keys() - served.keys()),
        leaving=len(leaving),
        held=len(holds.keys() - held.keys()),
        blocked=len(blocks.keys() - blocked.keys()),
        fetched_bytes=sum(file.size or 0 for file in fetched),
        unknown_sizes=sum(file.size is None for file in fetched),
        freed_bytes=sum(file.size or 0 for file in leaving),
    )


def _contents(files: Iterable[File]) -> dict[tuple[str, str], File]:
    return {(file.filename, file.sha256): file for file in files}
