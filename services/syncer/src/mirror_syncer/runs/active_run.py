"""A run that has not ended: its document, its progress, its report, and how it is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mirror_contract import Counts, Run, RunKind, RunRequest
from mirror_syncer.errors import AbandonedError
from mirror_syncer.model.priority import Priority
from mirror_syncer.runs.progress import RunProgress
from mirror_syncer.runs.report import RunReport
from mirror_syncer.runs.sync_state import SyncState


class ActiveRun:
    """
    A run that has not ended.

    Attributes:
        document: what the API shows of it.
        resumed: an earlier process started it.
        ended: set when the run ends.
        error: why the run cannot continue.
    """

    def __init__(self, document: Run) -> None:
        self.document = document
        self.progress = RunProgress(document)
        self.report = RunReport(document)
        self.sync = SyncState(allow_removals=document.request.allow_removals)
        self.resumed = document.started_at is not None
        self.ended = asyncio.Event()
        self.cancelled = False
        self.error: Exception | None = None
        self._upstream_waits = set[asyncio.Timeout]()
        self._upstream_deadline: float | None = None
        """When a cancelled run stops waiting for upstream, by the event loop's clock."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.document.id

    @property
    def request(self) -> RunRequest:
        """The request that the run carries out."""
        return self.document.request

    @property
    def is_whole(self) -> bool:
        """Whether the run covers the whole mirror, and asks upstream, rather than named projects."""
        return self.request.is_whole

    def covers(self, project: str) -> bool:
        """Return whether the run covers a project."""
        return self.request.projects is None or project in self.request.projects

    @property
    def priority(self) -> Priority:
        """The default priority of the run's tasks: nobody waits for a run of the whole mirror."""
        return Priority.BACKLOG if self.is_whole else Priority.NAMED

    @property
    def is_stopping(self) -> bool:
        """Whether no further task of the run may start."""
        return self.cancelled or self.error is not None

    def cancel(self, *, grace_seconds: float) -> None:
        """Let no further task start, and stop waiting for upstream when the grace is over."""
        self.cancelled = True
        if self._upstream_deadline is None:
            self._upstream_deadline = asyncio.get_running_loop().time() + grace_seconds
            for wait in self._upstream_waits:
                wait.reschedule(self._upstream_deadline)

    @asynccontextmanager
    async def upstream_wait(self) -> AsyncIterator[None]:
        """
        Limit the block to the grace of a cancelled run; without a cancellation the client's own limits apply.

        The client gives up a page that hangs after 150 s (five attempts of 30 s), and a file later.

        Raises:
            AbandonedError: the grace is over; the block was cancelled.
        """
        wait = asyncio.timeout_at(self._upstream_deadline)
        try:
            async with wait:
                self._upstream_waits.add(wait)
                yield
        except TimeoutError:
            if not wait.expired():
                raise
            raise AbandonedError("its run was cancelled") from None
        finally:
            self._upstream_waits.discard(wait)

    def merge(self, request: RunRequest) -> bool:
        """
        Serve another request for a whole sync by reading upstream's list again; return False if that is impossible.

        A first sync of the whole index takes weeks, and no other sync should wait for its end.
        """
        whole_sync = request.kind is RunKind.SYNC and request.is_whole
        if not (self.sync.can_reread_list and whole_sync) or (request.force and not self.request.force):
            return False
        if request.allow_removals is not None:
            self.sync.allow_removals = request.allow_removals
        self.sync.reread_list = True
        self.progress.notify()
        return True

    def reset_counts(self) -> None:
        """
        Forget what an earlier process counted of projects that are processed again; transfers stay counted.

        A verify continues where it stopped, so it forgets nothing.
        """
        if self.request.kind is RunKind.VERIFY:
            return
        counts = self.document.counts
        self.document.counts = Counts(
            files_fetched=counts.files_fetched, bytes_fetched=counts.bytes_fetched, files_removed=counts.files_removed
        )
        self.report.clear_failures()
        self.report.name_withheld(())
