"""
Runs: asked for, waiting, under way, ended; kept in the catalog, so that they survive a restart.

The transitions are the contract's: ``queued → running → succeeded | incomplete | failed | cancelled``.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import structlog
from packaging.utils import NormalizedName

from mirror_contract import Counts, Failure, Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import Abandoned, StateError, TooManyRuns
from mirror_syncer.failure_log import FailureLog

log = structlog.get_logger()

_FAILURES_KEPT = 100
_WAITING_MOST = 100  # runs that somebody asked for; each may name 10,000 projects, in a megabyte
FEW = 1_000
"""Of a run that is fed as it goes, so many tasks that wait: time for more."""
PHASES = {
    RunKind.SYNC: ("plan", "withdraw", "transfer", "publish", "collect"),
    RunKind.VERIFY: ("verify", "orphans", "publish", "collect"),
    RunKind.COLLECT: ("collect",),
}
"""What runs do, by kind; ``publish`` is the project list, while each page is part of ``transfer``."""


class ActiveRun:
    """A run that has not ended. Its document is what everybody sees of it."""

    def __init__(self, document: Run) -> None:
        self.document = document
        self.resumed = document.started_at is not None
        self.left = 0
        """Tasks that are not done."""
        self.drained = asyncio.Event()
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
        self.policy_digest: str | None = None
        """Of the policy that it was planned by."""
        self.allow_removals = document.request.allow_removals
        """How many removals a person allows, whatever the guard says."""
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
            Abandoned: the grace is over. The block was cancelled, and has left what a cancellation leaves.
        """
        wait = asyncio.timeout_at(self._waits_end)
        try:
            async with wait:
                self._waits.add(wait)
                yield
        except TimeoutError:
            if not wait.expired():
                raise
            raise Abandoned("its run was cancelled") from None
        finally:
            self._waits.discard(wait)

    async def room(self, most: int) -> None:
        """Wait until no more than so many tasks are left, or until it is over."""
        while self.left > most and not self.over:
            self._moved.clear()
            await self._moved.wait()

    def expect(self, tasks: int) -> None:
        """Wait for so many tasks."""
        self.left += tasks
        if self.left > 0:
            self.drained.clear()
        else:
            self.drained.set()

    def task_done(self, tasks: int = 1) -> None:
        """Note that tasks are done, or dropped."""
        self.left -= tasks
        self._moved.set()
        if self.left <= 0:
            self.drained.set()
        if self.left <= FEW:
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
        """Log failures, and keep them for the document; past a hundred the counts alone grow."""
        self.noted += len(failures)
        for failure in failures:
            self.failure_log.tell(failure)
        room = _FAILURES_KEPT - len(self.document.failures)
        self.document.failures.extend(failures[:room])


class Runs:
    """
    All runs that have not ended, and the way to ask for one.

    Args:
        catalog: where they are kept. Its calls here take well under a millisecond each.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._active: dict[str, ActiveRun] = {}
        self._latest: datetime | None = None
        """The moment in the newest run's id."""
        self.background: ActiveRun | None = None
        """What is done on nobody's behalf; it is no run that anybody sees."""
        self.asked = asyncio.Event()
        """Set when there may be a run to start."""
        self._listeners: list[Callable[[Run], None]] = []
        self._untold: dict[str, Run] = {}
        """Runs that have ended, which the catalog could not be told."""

    def tell(self, listener: Callable[[Run], None]) -> None:
        """Have a listener told of each run that began or ended; it must not raise, and takes no time."""
        self._listeners.append(listener)

    def restore(self) -> None:
        """Take up runs that an earlier process left: they go on where they stopped."""
        unfinished = self._catalog.runs.page(states=(RunState.QUEUED, RunState.RUNNING), limit=1_000)
        for document in reversed(unfinished):
            self._active[document.id] = ActiveRun(document.model_copy(update={"state": RunState.QUEUED}))
        self.asked.set()

    def request(self, request: RunRequest, *, trigger: Trigger, idempotency_key: str | None = None) -> Run:
        """
        Ask for a run.

        Returns:
            The new run; or the one that this key asked for before; or one that waits for the very same; or the sync of
            everything that is under way, and now reads upstream's list once more.

        Raises:
            KeyReused: the key was used for another request.
            TooManyRuns: enough wait that people and programs asked for; what comes by itself is never more than one.
        """
        if idempotency_key and (known := self._catalog.runs.by_key(idempotency_key, request)):
            active = self._active.get(known.id)
            return active.document if active else known
        for active in self._active.values():
            queued = active.document.state is RunState.QUEUED
            if (queued and active.request == request) or (not queued and active.joins(request)):
                if idempotency_key:
                    self._catalog.runs.add_key(active.id, idempotency_key, request)
                return active.document
        if trigger in (Trigger.API, Trigger.CLI) and sum(1 for _ in self.waiting()) >= _WAITING_MOST:
            raise TooManyRuns(
                f"{_WAITING_MOST} runs wait already, and this is none of them: ask again when some have ended, cancel "
                "what is not needed, or name all projects in one run"
            )
        now = datetime.now(UTC)
        document = Run(
            id=self._identifier(now), request=request, trigger=trigger, state=RunState.QUEUED, created_at=now
        )
        with suppress(StateError):  # it fails by its first step, which everybody sees
            self._catalog.runs.add(document, idempotency_key=idempotency_key)
        self._active[document.id] = ActiveRun(document)
        self.asked.set()
        return document

    def _identifier(self, now: datetime) -> str:
        """Return a new run's id: past all others, which are listed by it, also where the clock was set back."""
        if self._latest is None:
            newest = self._catalog.runs.page(limit=1)
            moment = newest[0].id.partition("-")[0].ljust(18, "0") if newest else f"{now:%Y%m%dT%H%M%S000}"
            self._latest = datetime.strptime(f"{moment}+0000", "%Y%m%dT%H%M%S%f%z")
        self._latest = max(now, self._latest + timedelta(milliseconds=1))
        return f"{self._latest:%Y%m%dT%H%M%S}{self._latest.microsecond // 1000:03d}-{secrets.token_hex(3)}"

    def waiting(self) -> Iterator[ActiveRun]:
        """Yield the runs that wait, oldest first."""
        return (run for run in tuple(self._active.values()) if run.document.state is RunState.QUEUED)

    def running(self) -> list[ActiveRun]:
        """Return the runs under way."""
        return [run for run in tuple(self._active.values()) if run.document.state is RunState.RUNNING]

    def active(self, identifier: str) -> ActiveRun | None:
        """Return a run that has not ended."""
        if self.background is not None and self.background.id == identifier:
            return self.background
        return self._active.get(identifier)

    def get(self, identifier: str) -> Run | None:
        """Return a run as it is now."""
        if active := self._active.get(identifier):
            return active.document
        return self._untold.get(identifier) or self._catalog.runs.get(identifier)

    def start(self, run: ActiveRun) -> None:
        """Let a run begin, or go on; to ``save`` that is its first step, so that it can fail by it."""
        run.document.state = RunState.RUNNING
        run.document.started_at = run.document.started_at or datetime.now(UTC)
        self._tell(run.document)

    def save(self, run: ActiveRun) -> None:
        """Keep a run's progress, and the ends of those before it that are not kept yet."""
        self._catalog.runs.update(run.document)
        for identifier, ended in tuple(self._untold.items()):
            with suppress(Exception):  # as `end` said; it is no fault of this run
                self._catalog.runs.update(ended)
                self._untold.pop(identifier, None)

    def end(self, run: ActiveRun, state: RunState, *, message: str | None) -> None:
        """End a run."""
        run.document.state = state
        run.document.message = message
        now = datetime.now(UTC)
        run.document.finished_at = max(now, run.document.started_at or now)  # the clock may have been set back
        try:
            self._catalog.runs.update(run.document)
        except Exception as error:  # noqa: BLE001 - whatever the catalog says: nobody waits for it
            log.warning("a run's end is not kept; the next run, or start, tries again", why=str(error))
            self._untold[run.id] = run.document
        del self._active[run.id]
        run.ended.set()
        self.asked.set()
        self._tell(run.document)

    def _tell(self, document: Run) -> None:
        for listener in self._listeners:
            listener(document)
