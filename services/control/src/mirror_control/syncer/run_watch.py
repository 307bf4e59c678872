"""
Watching runs: control polls the syncer every half second for each watched run, however many clients watch it.

Each client gets the latest snapshot and no history. So a slow client skips snapshots, and needs no buffer.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Self

import structlog
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from mirror_contract import Run
from mirror_control.client.api_client import ApiError, RefusedError

log = structlog.get_logger(__name__)

GetRun = Callable[[str], Awaitable[Run]]

MAX_WATCHERS: Final = 1_000
"""The most clients that may watch at once."""

# Fast enough to show the end of a run within a second.
_POLL_SECONDS = 0.5
# Shorter than the 60 s after which nginx, like most proxies, closes a silent stream.
_KEEPALIVE_SECONDS = 15.0

_AWAY = format_sse_event(
    event="away",
    data_str=json.dumps(
        {"detail": "The syncer does not answer; the stream continues once it does. nginx still serves all files."}
    ),
)


class TooManyWatchersError(Exception):
    """The limit of watching clients is reached."""


class Snapshot:
    """
    The state of a run at one moment, encoded once as an event for all clients.

    The event's id is the time in milliseconds and a digest of the content. So the ids of a stream ascend, and the
    digest shows whether a reconnecting client has the latest state, even after a restart of control.
    """

    def __init__(self, run: Run, *, after: Self | None) -> None:
        document = run.model_dump_json(exclude_none=True)
        self.run = run
        self.taken_at_ms: int = max(time.time_ns() // 1_000_000, after.taken_at_ms + 1 if after else 0)
        self._digest = hashlib.blake2b(document.encode(), digest_size=6).hexdigest()
        self.event = format_sse_event(event="run", data_str=document, id=f"{self.taken_at_ms}-{self._digest}")

    def is_known_to(self, last_event_id: str | None) -> bool:
        """Return whether the client that last received this event id has this snapshot."""
        return last_event_id is not None and last_event_id.rpartition("-")[2] == self._digest


class Watch:
    """The polling of one run, until the run ends, disappears, or loses its last client."""

    def __init__(self, get_run: Callable[[], Awaitable[Run]]) -> None:
        self._get_run = get_run
        self._changed = asyncio.Event()
        self.snapshot: Snapshot | None = None
        self.error: ApiError | None = None
        """Why the last poll failed; None if it succeeded."""
        self.ended = False
        self.clients = 0

    async def run(self) -> None:
        """Poll until the run ends."""
        while True:
            await self._poll()
            if self.ended:
                return
            self._wake_clients()
            await asyncio.sleep(_POLL_SECONDS)

    def end(self) -> None:
        """Release all waiting clients."""
        self.ended = True
        self._wake_clients()

    async def wait_for_first_poll(self) -> None:
        """
        Wait for the first poll.

        Raises:
            ApiError: it failed.
        """
        while self.snapshot is None and self.error is None and not self.ended:
            await self._changed.wait()
        if self.snapshot is None and self.error is not None:
            raise self.error

    async def events(self, *, last_event_id: str | None = None) -> AsyncIterator[bytes]:
        """Yield each new snapshot, an ``away`` event if the syncer fails, and comments that keep the stream open."""
        known = self.snapshot is not None and self.snapshot.is_known_to(last_event_id)
        sent = self.snapshot if known else None, False
        while True:
            current = snapshot, away = self._current
            if current != sent:
                recovered = sent[1] and not away
                if snapshot is not None and (snapshot is not sent[0] or recovered):
                    yield snapshot.event
                if away and not sent[1]:
                    yield _AWAY
                sent = current  # the next round sends changes that came while the client was reading
            elif self.ended:
                return
            else:
                try:
                    async with asyncio.timeout(_KEEPALIVE_SECONDS):
                        await self._changed.wait()
                except TimeoutError:
                    yield KEEPALIVE_COMMENT

    @property
    def _current(self) -> tuple[Snapshot | None, bool]:
        """The latest snapshot, and whether the syncer has failed since."""
        return self.snapshot, self.error is not None and not self.ended

    async def _poll(self) -> None:
        try:
            run = await self._get_run()
        except ApiError as error:
            self.error = error
            self.ended = self.snapshot is None or (isinstance(error, RefusedError) and error.problem.status < 500)  # noqa: PLR2004 the run is unknown
            return
        self.error = None
        self.ended = run.state.ended
        if self.snapshot is None or run != self.snapshot.run:
            self.snapshot = Snapshot(run, after=self.snapshot)

    def _wake_clients(self) -> None:
        """Wake all waiting clients once."""
        self._changed.set()
        self._changed = asyncio.Event()


class RunWatches:
    """
    All watched runs.

    Args:
        get_run: returns a run's current state, or raises ApiError.
        max_clients: the most clients at once.
    """

    def __init__(self, get_run: GetRun, *, max_clients: int = MAX_WATCHERS) -> None:
        self._get_run = get_run
        self._max_clients = max_clients
        self._watches: dict[str, tuple[Watch, asyncio.Task[None]]] = {}
        self.clients = 0

    @asynccontextmanager
    async def watch(self, run_id: str) -> AsyncIterator[Watch]:
        """
        Watch a run during the block; the watch ends with its last client.

        Raises:
            TooManyWatchersError: the limit is reached.
            ApiError: there is no such run, or the syncer does not answer.
        """
        if self.clients >= self._max_clients:
            raise TooManyWatchersError(f"{self.clients:,} clients are watching runs already")
        watch, task = self._watches.get(run_id) or self._start(run_id)
        self.clients += 1
        watch.clients += 1
        try:
            await watch.wait_for_first_poll()
            yield watch
        finally:
            self.clients -= 1
            watch.clients -= 1
            if not watch.clients:
                task.cancel()
                self._forget(run_id, watch)

    def close(self) -> None:
        """End all streams when control stops; clients reconnect to the next process."""
        for _, task in tuple(self._watches.values()):
            task.cancel()

    def _start(self, run_id: str) -> tuple[Watch, asyncio.Task[None]]:
        watch = Watch(lambda: self._get_run(run_id))
        task = asyncio.create_task(watch.run())
        task.add_done_callback(lambda done: self._on_end(run_id, watch, done))
        self._watches[run_id] = watch, task
        return watch, task

    def _on_end(self, run_id: str, watch: Watch, task: asyncio.Task[None]) -> None:
        self._forget(run_id, watch)
        watch.end()
        if not task.cancelled() and (error := task.exception()):
            log.error("watching a run failed", run=run_id, exc_info=error)

    def _forget(self, run_id: str, watch: Watch) -> None:
        """Remove a watch, unless another one has already replaced it."""
        if self._watches.get(run_id, (None,))[0] is watch:
            del self._watches[run_id]
