"""
The book of runs: asked for, waiting, under way, ended; kept in the catalog, so that they survive a restart.

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

_WAITING_MOST = 100  # runs that somebody asked for; each may name 10,000 projects, in a megabyte


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
            KeyReusedError: the key was used for another request.
            TooManyRunsError: the queue of requested runs is full; a scheduled run is never refused.
        """
        if idempotency_key and (known := self._catalog.runs.get_by_key(idempotency_key, request)):
            active = self._active.get(known.id)
            return active.document if active else known
        for active in self._active.values():
            queued = active.document.state is RunState.QUEUED
            if (queued and active.request == request) or (not queued and active.joins(request)):
                if idempotency_key:
                    self._catalog.runs.add_key(active.id, idempotency_key, request)
                return active.document
        if trigger in (Trigger.API, Trigger.CLI) and sum(1 for _ in self.waiting()) >= _WAITING_MOST:
            raise TooManyRunsError(
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
