"""What a run reports: its failures, remarks for its message, and whether upstream responds."""

import time
from collections.abc import Iterable, Iterator
from itertools import groupby, islice

from packaging.utils import NormalizedName

from mirror_contract import Failure, Run, RunChange, RunKind
from mirror_syncer.runs.failure_log import FailureLog

_MAX_DOCUMENT_FAILURES = 100
_MAX_DOCUMENT_CHANGES = 100
MAX_DOCUMENT_WITHHELD = 100
_MAX_PROJECT_FAILURES = 20  # so that a page with a thousand bad files does not hide the failures of other projects


class RunReport:
    """
    The report of a run.

    Attributes:
        failure_count: all failures, also those beyond the hundred in the run's document.
        remarks: sentences for the run's message that are no failures.
        unreachable: projects for which upstream gave no response.
        unreachable_in_a_row: of these, the latest ones that started after the last response.
    """

    def __init__(self, document: Run) -> None:
        self._document = document
        self.failure_count = len(document.failures)
        self.remarks = list[str]()
        # All failures of a verify go to the log: it is the only place that has more than the first hundred.
        self.log = FailureLog(fold=document.request.kind is not RunKind.VERIFY)
        self.unreachable = 0
        self.unreachable_in_a_row = 0
        self._last_response_at = 0.0

    @property
    def failures(self) -> list[Failure]:
        """The first hundred failures, which are in the run's document."""
        return self._document.failures

    def add(self, *failures: Failure) -> None:
        """
        Log failures and add them to the document; beyond a hundred they are only counted.

        Args:
            failures: in a sync, all failures of their projects; the first twenty of each project are named.
        """
        self.failure_count += len(failures)
        if self._document.request.kind is RunKind.SYNC:
            failures = tuple(_first_of_each_project(failures))
        for failure in failures:
            self.log.record(failure)
        self.failures.extend(failures[: _MAX_DOCUMENT_FAILURES - len(self.failures)])

    def clear_failures(self) -> None:
        """Forget all failures so far."""
        self.failures.clear()
        self.failure_count = 0

    def add_change(self, change: RunChange) -> None:
        """
        Add what changed about a project to the document; a project is changed in several steps at times.

        Beyond a hundred projects, the one that most was downloaded for takes the place of the one with least, so that
        the document tells what grew the disk. Removed projects stay.
        """
        changes = self._document.changes
        for place, known in enumerate(changes):
            if known.project == change.project:
                files = known.files_fetched + change.files_fetched
                size = known.bytes_fetched + change.bytes_fetched
                changes[place] = change.model_copy(update={"files_fetched": files, "bytes_fetched": size})
                return
        if len(changes) < _MAX_DOCUMENT_CHANGES:
            changes.append(change)
            return
        kept = [one for one in changes if not one.withdrawn]
        least = min(kept, key=lambda one: one.bytes_fetched, default=None)
        if least is not None and (change.withdrawn or change.bytes_fetched > least.bytes_fetched):
            changes.remove(least)
            changes.append(change)

    def name_withheld(self, names: Iterable[NormalizedName]) -> None:
        """Name the projects in the document whose removal is withheld: the first hundred, instead of earlier ones."""
        self._document.withheld = list(islice(names, MAX_DOCUMENT_WITHHELD))

    def record_response(self, *, responded: bool, started: float, first_failure: bool) -> None:
        """
        Record whether upstream responded for a project.

        A missing response counts against upstream as a whole only if none arrived since this project was started: the
        timeouts of a dozen bad projects expire at the same time. A project that failed before does not count either.

        Args:
            started: when the project's task was started, by the monotonic clock.
            first_failure: the project did not fail the last time.
        """
        if responded:
            self._last_response_at, self.unreachable_in_a_row = time.monotonic(), 0
        else:
            self.unreachable += 1
            self.unreachable_in_a_row += first_failure and started > self._last_response_at


def _first_of_each_project(failures: Iterable[Failure]) -> Iterator[Failure]:
    """Yield the first failures of each project, and then how many more it has."""
    for project, group in groupby(failures, key=lambda failure: failure.project):
        of_project = list(group)
        named = of_project if project is None else of_project[:_MAX_PROJECT_FAILURES]
        yield from named
        if more := len(of_project) - len(named):
            yield Failure(project=project, reason=f"{more:,} more failures of this project are not listed")
