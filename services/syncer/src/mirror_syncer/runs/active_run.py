"""A run that has not ended: what it has left to do, how it goes, and what it waits for."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import groupby

from packaging.utils import NormalizedName

from mirror_contract import Counts, Failure, Run, RunKind, RunRequest
from mirror_syncer.errors import AbandonedError
from mirror_syncer.model.phases import PHASES
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.serials import SerialBounds
from mirror_syncer.runs.failure_log import FailureLog

_FAILURES_KEPT = 100
_FAILURES_OF_A_PROJECT = 20  # else one project, whose page names a thousand bad files, would hide all others' failures
LOW_TASK_COUNT = 1_000
"""Of a run that is fed as it goes, so many tasks that wait: time for more."""


class ActiveRun:
    """A run that has not ended. Its document is what everybody sees of it."""

    def __init__(self, document: Run) -> None:
        self.document = document
        self.resumed = document.started_at is not None
        self.left = 0
        """Tasks that are not done."""
        self._drained = asyncio.Event()
        self._moved = asyncio.Event()
        self.ended = asyncio.Event()
        self.cancelled = False
        self._waits = set[asyncio.Timeout]()
        """For upstream, under way."""
        self._waits_end: float | None = None
        """When they are given up, by the loop's clock; None: upstream has all the time that the client gives it."""
        self.fatal: Exception | None = None
        """Why nothing more of it can be done."""
        self.noted = len(document.failures)
        """Failures so far, those past the document's hundred included."""
        # Nobody but the log holds all that a verify finds.
        self.failure_log = FailureLog(fold=document.request.kind is not RunKind.VERIFY)
        self.unreachable = 0
        """Projects for which upstream gave no answer."""
        self.unanswered = 0
        """Of them, those in a row up to now that began after the last answer."""
        self._answered_at = 0.0
        self.allowance = 0
        """How many more projects may be withdrawn because upstream has them no more."""
        self.gone = list[NormalizedName]()
        """Published projects that upstream has no more."""
        self.remarks = list[str]()
        """What its message tells besides, though nothing of it is a failure."""
        self.postponed: set[NormalizedName] | None = None
        """Projects for which there is no room yet, while it makes some; otherwise such a project ends the run."""
        self.news = False
        """Upstream said something that it had not said before."""
        self.bounds = SerialBounds()
        """How far upstream's serials are believed."""
        self.policy_digest: str | None = None
        """Of the policy that it was planned by."""
        self.allow_removals = document.request.allow_removals
        """How many removals a person allows, whatever the guard says."""
        self.asked_after: int | None = None
        """The edition of the last list of which it asked for what that was the first to lack."""
        self.follows_list = False
        """It is of everything: the catalog knows what it has to do, and there may be any amount of that."""
        self.rereads = False
        """It would read upstream's list once more, if asked."""
        self.reread = False
        """It was asked to."""
        self.stirred = asyncio.Event()
        """Set when few of its tasks are left, or it is to read the list once more."""
        self.phases = dict.fromkeys(PHASES[document.request.kind], 0.0)
        """How many seconds each took, all its turns together, in this process."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure how long a phase takes, whatever ends it."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] += time.monotonic() - began

    @property
    def id(self) -> str:
        """The run's id."""
        return self.document.id

    @property
    def request(self) -> RunRequest:
        """What it was asked to do."""
        return self.document.request

    def concerns(self, name: str) -> bool:
        """Return whether a project is one of those that it was asked for."""
        return self.request.projects is None or name in self.request.projects

    @property
    def priority(self) -> Priority:
        """How urgent its work is where nothing else says so: nobody waits for a run of the whole mirror."""
        return Priority.BACKLOG if self.request.projects is None else Priority.NAMED

    @property
    def over(self) -> bool:
        """Whether nothing more of it is to begin."""
        return self.cancelled or self.fatal is not None

    def cancel(self, *, grace_seconds: float) -> None:
        """Let nothing more of it begin, and what waits for upstream wait for so long and no longer."""
        self.cancelled = True
        if self._waits_end is None:
            self._waits_end = asyncio.get_running_loop().time() + grace_seconds
            for wait in self._waits:
                wait.reschedule(self._waits_end)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """
        Wait for upstream within the block; a cancelled run does so for its grace alone.

        Of a page that hangs the client itself has had enough after 150 s, five attempts of 30, and of a file later.

        Raises:
            AbandonedError: the grace is over. The block was cancelled, and has left what a cancellation leaves.
        """
        wait = asyncio.timeout_at(self._waits_end)
        try:
            async with wait:
                self._waits.add(wait)
                yield
        except TimeoutError:
            if not wait.expired():
                raise
            raise AbandonedError("its run was cancelled") from None
        finally:
            self._waits.discard(wait)

    async def room(self, most: int) -> None:
        """Wait until no more than so many tasks are left, or until it is over."""
        while self.left > most and not self.over:
            self._moved.clear()
            await self._moved.wait()

    async def idle(self) -> None:
        """Wait until no task is left."""
        if self.left > 0:
            await self._drained.wait()

    def expect(self, tasks: int) -> None:
        """Wait for so many tasks more, one at least."""
        self.left += tasks
        self._drained.clear()

    def task_done(self, tasks: int = 1) -> None:
        """Note that tasks are done, or dropped."""
        self.left -= tasks
        self._moved.set()
        if self.left <= 0:
            self._drained.set()
        if self.left <= LOW_TASK_COUNT:
            self.stirred.set()

    def joins(self, request: RunRequest) -> bool:
        """
        Take a wish for a whole sync as one's own, where that is possible: read the list once more, changes first.

        A first sync of everything takes weeks, and nothing should wait behind it.
        """
        whole = request.kind is RunKind.SYNC and request.projects is None
        if not self.rereads or not whole or (request.force and not self.request.force):
            return False
        if request.allow_removals is not None:
            self.allow_removals = request.allow_removals
        self.reread = True
        self.stirred.set()
        return True

    def begin_again(self) -> None:
        """
        Forget what an earlier process counted of what is looked at once more; what was fetched stays fetched.

        A verify looks at nothing once more, and forgets nothing.
        """
        if self.request.kind is RunKind.VERIFY:
            return
        counts = self.document.counts
        self.document.counts = Counts(
            files_fetched=counts.files_fetched, bytes_fetched=counts.bytes_fetched, files_removed=counts.files_removed
        )
        self.document.failures.clear()
        self.gone.clear()
        self.noted = 0

    def heard(self, *, answered: bool, began: float, newly: bool) -> None:
        """
        Note whether upstream answered for a project whose turn began then.

        A silence tells of the upstream as a whole only where nothing was heard since it began: the slow ends of a dozen
        bad projects come together. Nor does it where the project failed before (not ``newly``).
        """
        if answered:
            self._answered_at, self.unanswered = time.monotonic(), 0
        else:
            self.unreachable += 1
            self.unanswered += newly and began > self._answered_at

    def note(self, *failures: Failure) -> None:
        """
        Log failures, and keep them for the document; past a hundred the counts alone grow.

        Args:
            failures: all that a sync has to tell of their projects; of many of one project the first stand for all.
        """
        self.noted += len(failures)
        if self.request.kind is RunKind.SYNC:
            failures = tuple(_first_of_each_project(failures))
        for failure in failures:
            self.failure_log.tell(failure)
        room = _FAILURES_KEPT - len(self.document.failures)
        self.document.failures.extend(failures[:room])


def _first_of_each_project(failures: Iterable[Failure]) -> Iterator[Failure]:
    """Yield the first failures of each project, and then how many more it has."""
    for project, group in groupby(failures, key=lambda failure: failure.project):
        of_project = list(group)
        kept = of_project if project is None else of_project[:_FAILURES_OF_A_PROJECT]
        yield from kept
        if more := len(of_project) - len(kept):
            yield Failure(project=project, reason=f"{more:,} more failures of this project are not listed")
