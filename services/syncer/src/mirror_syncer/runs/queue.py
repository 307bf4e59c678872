"""The one queue of projects: all runs' work, by priority."""

import asyncio
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from packaging.utils import NormalizedName

from mirror_syncer.model.priority import Priority


class Action(StrEnum):
    """What is done with a project."""

    REFRESH = "refresh"
    SHRINK = "shrink"
    """Refresh, and let go of whatever upstream's page lacks."""
    WITHDRAW = "withdraw"
    UNLIST = "unlist"
    """Withdraw, unless upstream's page says that it is quarantined, and so in no list."""
    VERIFY = "verify"
    COLLECT = "collect"


@dataclass(frozen=True, slots=True)
class Task:
    """One project's turn, on behalf of a run."""

    run_id: str
    name: NormalizedName
    action: Action
    priority: Priority
    wanted: int | None = None
    """The serial that upstream's list gives the project; 0: listed without one."""
    reason: str | None = None
    """Why it is withdrawn."""


class QueueClosedError(Exception):
    """The queue gives nothing more."""


class WorkQueue:
    """
    Hands out tasks, the lowest priority number first, and never two of one project at a time.

    All of it happens in one event loop, so no call is interrupted half way.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Priority, int, Task]] = []
        self._order = itertools.count()
        self._in_hand: dict[NormalizedName, Action] = {}
        self._parked: defaultdict[NormalizedName, list[tuple[Priority, int, Task]]] = defaultdict(list)
        self._changed = asyncio.Condition()
        self._closed = False

    def depth(self) -> dict[Priority, int]:
        """Return how many tasks wait, by priority."""
        depth: defaultdict[Priority, int] = defaultdict(int)
        for priority, _, _ in itertools.chain(self._heap, *self._parked.values()):
            depth[priority] += 1
        return dict(depth)

    def names(self, *, without: Action | None = None) -> set[NormalizedName]:
        """Return the projects that wait or are being worked at, those with nothing but one kind of action left out."""
        waiting = (task for _, _, task in itertools.chain(self._heap, *self._parked.values()))
        names = {task.name for task in waiting if task.action is not without}
        return names.union(name for name, action in self._in_hand.items() if action is not without)

    def in_hand(self) -> int:
        """Return how many projects are being worked at."""
        return len(self._in_hand)

    async def put(self, tasks: Iterable[Task]) -> None:
        """Add work."""
        async with self._changed:
            for task in tasks:
                heapq.heappush(self._heap, (task.priority, next(self._order), task))
            self._changed.notify_all()

    async def get(self, *, at_most: Callable[[], Priority | None]) -> Task:
        """
        Return the next task of some priority or a more urgent one; ``done`` gives its project back.

        Args:
            at_most: asked whenever something changed; None: nothing now. ``wake`` says that its answer did.

        Raises:
            Closed: the queue was closed, whatever it holds.
        """
        async with self._changed:
            while True:
                if self._closed:
                    raise QueueClosedError
                if (most := at_most()) is not None and (task := self._next(most)) is not None:
                    self._in_hand[task.name] = task.action
                    return task
                await self._changed.wait()

    async def wake(self) -> None:
        """Have whoever waits look again."""
        async with self._changed:
            self._changed.notify_all()

    async def done(self, task: Task) -> None:
        """Give a project back."""
        async with self._changed:
            self._in_hand.pop(task.name, None)
            for entry in self._parked.pop(task.name, ()):
                heapq.heappush(self._heap, entry)
            self._changed.notify_all()

    async def drop(self, run_id: str) -> int:
        """Remove what waits on behalf of a run; return how many tasks that were."""
        async with self._changed:
            before = len(self._heap) + sum(map(len, self._parked.values()))
            self._heap = [entry for entry in self._heap if entry[2].run_id != run_id]
            heapq.heapify(self._heap)
            for name, entries in list(self._parked.items()):
                self._parked[name] = [entry for entry in entries if entry[2].run_id != run_id]
            return before - len(self._heap) - sum(map(len, self._parked.values()))

    async def close(self) -> None:
        """Give out nothing more."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self, at_most: Priority) -> Task | None:
        while self._heap and self._heap[0][0] <= at_most:
            entry = heapq.heappop(self._heap)
            if entry[2].name not in self._in_hand:
                return entry[2]
            self._parked[entry[2].name].append(entry)
        return None
