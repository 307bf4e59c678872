"""
Watching runs: one look at the syncer every half second for each watched run, however many clients watch it.

A client is sent the latest snapshot and no history, so a slow one misses what was in between and holds no memory.
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
from mirror_control.client.api_client import ApiError, Refused

log = structlog.get_logger(__name__)

Look = Callable[[str], Awaitable[Run]]

MOST: Final = 1_000
"""So many clients at once."""

# An end is seen within a second.
_EVERY = 0.5
# Below the 60 s after which nginx, and most proxies, give up on a silent stream.
_SILENCE = 15.0

_AWAY = format_sse_event(
    event="away",
    data_str=json.dumps({"detail": "The syncer does not answer; this goes on once it does. Files are served."}),
)


class TooMany(Exception):
    """No more clients can watch now."""


class Snapshot:
    """
    A run as it was seen, as an event: encoded once, whoever is sent it.

    Its id is when it was seen, in milliseconds, and what it says, as a digest: ids of a stream ascend, and whoever
    comes back is known to have heard the latest, also by a control that was started anew.
    """

    def __init__(self, run: Run, *, after: Self | None) -> None:
        document = run.model_dump_json(exclude_none=True)
        self.run = run
        self.seen: int = max(time.time_ns() // 1_000_000, after.seen + 1 if after else 0)
        self._digest = hashlib.blake2b(document.encode(), digest_size=6).hexdigest()
        self.event = format_sse_event(event="run", data_str=document, id=f"{self.seen}-{self._digest}")

    def is_known_to(self, last_event_id: str | None) -> bool:
        """Whether whoever was sent that event last has heard this."""
        return last_event_id is not None and last_event_id.rpartition("-")[2] == self._digest


class Watch:
    """One run, looked at until it has ended, nobody knows it any more, or nobody watches it."""

    def __init__(self, look: Callable[[], Awaitable[Run]]) -> None:
        self._look = look
        self._moved = asyncio.Event()
        self.snapshot: Snapshot | None = None
        self.trouble: ApiError | None = None
        """Why the last look saw nothing."""
        self.over = False
        self.clients = 0

    async def run(self) -> None:
        """Look, again and again."""
        while True:
            await self._learn()
            if self.over:
                return
            self._move()
            await asyncio.sleep(_EVERY)

    def end(self) -> None:
        """Let nobody wait any more."""
        self.over = True
        self._move()

    async def first(self) -> None:
        """
        Wait for the first look.

        Raises:
            ApiError: it saw nothing.
        """
        while self.snapshot is None and self.trouble is None and not self.over:
            await self._moved.wait()
        if self.snapshot is None and self.trouble is not None:
            raise self.trouble

    async def events(self, *, last_event_id: str | None = None) -> AsyncIterator[bytes]:
        """Yield the latest snapshot whenever there is news, the syncer's silences, and comments where neither comes."""
        known = self.snapshot is not None and self.snapshot.is_known_to(last_event_id)
        told = self.snapshot if known else None, False
        while True:
            news = snapshot, away = self._news
            if news != told:
                back = told[1] and not away
                if snapshot is not None and (snapshot is not told[0] or back):
                    yield snapshot.event
                if away and not told[1]:
                    yield _AWAY
                told = news  # what came while the client took its time is told next
            elif self.over:
                return
            else:
                try:
                    async with asyncio.timeout(_SILENCE):
                        await self._moved.wait()
                except TimeoutError:
                    yield KEEPALIVE_COMMENT

    @property
    def _news(self) -> tuple[Snapshot | None, bool]:
        """What there is to tell: the latest snapshot, and whether the syncer is silent since."""
        return self.snapshot, self.trouble is not None and not self.over

    async def _learn(self) -> None:
        try:
            run = await self._look()
        except ApiError as error:
            self.trouble = error
            self.over = self.snapshot is None or (isinstance(error, Refused) and error.problem.status < 500)  # noqa: PLR2004 gone
            return
        self.trouble = None
        self.over = run.state.ended
        if self.snapshot is None or run != self.snapshot.run:
            self.snapshot = Snapshot(run, after=self.snapshot)

    def _move(self) -> None:
        """Wake all who wait, once."""
        self._moved.set()
        self._moved = asyncio.Event()


class Watches:
    """
    All runs that are watched.

    Args:
        look: returns a run as it is now, or raises ApiError.
        most: so many clients at once.
    """

    def __init__(self, look: Look, *, most: int = MOST) -> None:
        self._look = look
        self._most = most
        self._under_way: dict[str, tuple[Watch, asyncio.Task[None]]] = {}
        self.clients = 0

    @asynccontextmanager
    async def watch(self, run_id: str) -> AsyncIterator[Watch]:
        """
        Watch a run until the block is left; with its last client a watch ends.

        Raises:
            TooMany: the bound is reached.
            ApiError: there is no such run, or the syncer does not answer.
        """
        if self.clients >= self._most:
            raise TooMany(f"{self.clients:,} clients watch runs already")
        watch, task = self._under_way.get(run_id) or self._begin(run_id)
        self.clients += 1
        watch.clients += 1
        try:
            await watch.first()
            yield watch
        finally:
            self.clients -= 1
            watch.clients -= 1
            if not watch.clients:
                task.cancel()
                self._forget(run_id, watch)

    def close(self) -> None:
        """End all streams: control stops, and whoever watches comes back to the next one."""
        for _, task in tuple(self._under_way.values()):
            task.cancel()

    def _begin(self, run_id: str) -> tuple[Watch, asyncio.Task[None]]:
        watch = Watch(lambda: self._look(run_id))
        task = asyncio.create_task(watch.run())
        task.add_done_callback(lambda done: self._ended(run_id, watch, done))
        self._under_way[run_id] = watch, task
        return watch, task

    def _ended(self, run_id: str, watch: Watch, task: asyncio.Task[None]) -> None:
        self._forget(run_id, watch)
        watch.end()
        if not task.cancelled() and (error := task.exception()):
            log.error("watch failed", run=run_id, exc_info=error)

    def _forget(self, run_id: str, watch: Watch) -> None:
        """Let whoever comes next begin anew; another watch of this run may have begun already."""
        if self._under_way.get(run_id, (None,))[0] is watch:
            del self._under_way[run_id]
