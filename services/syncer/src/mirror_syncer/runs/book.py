"""
The run book: all queued and running runs, kept in the catalog so that they survive a restart.

The transitions are the contract's: ``queued → running → succeeded | incomplete | failed | cancelled``.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from mirror_contract import Run, RunRequest, RunState, Trigger
from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import StateError, TooManyRunsError
from mirror_syncer.runs.active_run import ActiveRun

log = structlog.get_logger()

_MAX_QUEUED = 100  # requested runs; each may name 10,000 projects, in a megabyte


class Runs:
    """
    All runs that have not ended.

    Args:
        catalog: stores them. Its calls here take well under a millisecond each.

    Attributes:
        background: work that nobody requested, by id; the API does not show it as a run.
        changed: set when a queued run may start.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._active: dict[str, ActiveRun] = {}
        self._latest: datetime | None = None
        """The time in the newest run's id."""
        self.background: dict[str, ActiveRun] = {}
        self.changed = asyncio.Event()
        self._listeners: list[Callable[[Run], None]] = []
        self._unsaved: dict[str, Run] = {}
        """Ended runs that the catalog could not store yet."""

    def subscribe(self, listener: Callable[[Run], None]) -> None:
        """Call a listener for each run that starts or ends; it must not raise, and must not block."""
        self._listeners.append(listener)

    def restore(self) -> None:
        """Queue the unfinished runs of an earlier process; they continue where they stopped."""
        unfinished = self._catalog.runs.page(states=(RunState.QUEUED, RunState.RUNNING), limit=1_000)
        for document in reversed(unfinished):
            self._active[document.id] = ActiveRun(document.model_copy(update={"state": RunState.QUEUED}))
        self.changed.set()

    def request(self, request: RunRequest, *, trigger: Trigger, idempotency_key: str | None = None) -> Run:
        """
        Request a run.

        Returns:
            The new run, or a run that serves this request: the one that was requested with the same key, a queued one
            with an equal request, or a running sync of the whole index, which reads upstream's list again.

        Raises:
            KeyReusedError: the key was used for another request.
            TooManyRunsError: the queue of requested runs is full; a scheduled run is never refused.
        """
        if idempotency_key and (known := self._catalog.runs.get_by_key(idempotency_key, request)):
            active = self._active.get(known.id)
            return active.document if active else known
        for active in self._active.values():
            queued = active.document.state is RunState.QUEUED
            if (queued and active.request == request) or (not queued and active.merge(request)):
                if idempotency_key:
                    self._catalog.runs.add_key(active.id, idempotency_key, request)
                return active.document
        if trigger in (Trigger.API, Trigger.CLI) and sum(1 for _ in self.queued()) >= _MAX_QUEUED:
            raise TooManyRunsError(
                f"The run queue is full ({_MAX_QUEUED} runs): retry later, cancel runs that are not needed, "
                "or name all projects in one run"
            )
        now = datetime.now(UTC)
        document = Run(
            id=self._identifier(now), request=request, trigger=trigger, state=RunState.QUEUED, created_at=now
        )
        with suppress(StateError):  # the run's first save fails too, and its message says so
            self._catalog.runs.add(document, idempotency_key=idempotency_key)
        self._active[document.id] = ActiveRun(document)
        self.changed.set()
        return document

    def _identifier(self, now: datetime) -> str:
        """Return an id for a new run; ids sort by time, even if the system clock was set back."""
        if self._latest is None:
            newest = self._catalog.runs.page(limit=1)
            stamp = newest[0].id.partition("-")[0].ljust(18, "0") if newest else f"{now:%Y%m%dT%H%M%S000}"
            self._latest = datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%S%f%z")
        self._latest = max(now, self._latest + timedelta(milliseconds=1))
        return f"{self._latest:%Y%m%dT%H%M%S}{self._latest.microsecond // 1000:03d}-{secrets.token_hex(3)}"

    def queued(self) -> Iterator[ActiveRun]:
        """Yield the queued runs, oldest first."""
        return (run for run in tuple(self._active.values()) if run.document.state is RunState.QUEUED)

    def running(self) -> list[ActiveRun]:
        """Return the running runs."""
        return [run for run in tuple(self._active.values()) if run.document.state is RunState.RUNNING]

    def active(self, identifier: str) -> ActiveRun | None:
        """Return a run that has not ended, or None."""
        return self.background.get(identifier) or self._active.get(identifier)

    async def ended(self, identifier: str) -> None:
        """Wait until a run has ended."""
        if active := self.active(identifier):
            await active.ended.wait()

    def get(self, identifier: str) -> Run | None:
        """Return a run in its current state, or None."""
        if active := self._active.get(identifier):
            return active.document
        return self._unsaved.get(identifier) or self._catalog.runs.get(identifier)

    def start(self, run: ActiveRun) -> None:
        """Start or resume a run; saving that is the run's own first step, so that a failure fails the run."""
        run.document.state = RunState.RUNNING
        run.document.started_at = run.document.started_at or datetime.now(UTC)
        self._notify(run.document)

    def save(self, run: ActiveRun) -> None:
        """Store a run, and earlier runs whose end could not be stored."""
        self._catalog.runs.update(run.document)
        for identifier, ended in tuple(self._unsaved.items()):
            with suppress(Exception):  # `end` logged it; it is not this run's failure
                self._catalog.runs.update(ended)
                self._unsaved.pop(identifier, None)

    def end(self, run: ActiveRun, state: RunState, *, message: str | None) -> None:
        """End a run."""
        run.document.state = state
        run.document.message = message
        now = datetime.now(UTC)
        run.document.finished_at = max(now, run.document.started_at or now)  # the clock may have been set back
        try:
            self._catalog.runs.update(run.document)
        except Exception as error:  # noqa: BLE001 - any failure of the catalog; no caller handles it
            log.warning("the end of a run could not be saved; the next run or start retries", why=str(error))
            self._unsaved[run.id] = run.document
        del self._active[run.id]
        run.ended.set()
        self.changed.set()
        self._notify(run.document)

    def _notify(self, document: Run) -> None:
        for listener in self._listeners:
            listener(document)
