"""The work queue: the tasks of all runs, by priority."""

import asyncio
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from packaging.utils import NormalizedName

from mirror_syncer.model.priority import Priority
from mirror_syncer.runs.circle import Circle


class Action(StrEnum):
    """What a task does with its project."""

    REFRESH = "refresh"
    JUDGE = "judge"
    """Apply the policy in force to the page that upstream sent last, without a request for it."""
    PUBLISH = "publish"
    """The same for a project that is not published yet: a dependency, whose page was looked at to resolve it."""
    SHRINK = "shrink"
    """Refresh, and remove the files that upstream's page no longer lists."""
    WITHDRAW = "withdraw"
    UNLIST = "unlist"
    """Withdraw, unless upstream's page says that the project is quarantined: PyPI's list omits those."""
    VERIFY = "verify"
    COLLECT = "collect"


@dataclass(frozen=True, slots=True)
class Task:
    """One action on one project, on behalf of a run."""

    run_id: str
    name: NormalizedName
    action: Action
    priority: Priority
    wanted_serial: int | None = None
    """The project's serial in upstream's list; 0: listed without a serial."""
    reason: str | None = None
    """Why the project is withdrawn."""
    circle: Circle | None = None
    """The projects with which its page appears together."""


class QueueClosedError(Exception):
    """The queue was closed."""


class WorkQueue:
    """
    Hands out tasks, the lowest priority number first, and never two tasks of one project at a time.

    Not thread-safe: all calls come from one event loop.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Priority, int, Task]] = []
        self._order = itertools.count()
        self._active: dict[NormalizedName, Action] = {}
        self._parked: defaultdict[NormalizedName, list[tuple[Priority, int, Task]]] = defaultdict(list)
        self._changed = asyncio.Condition()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it hands out no further task."""
        return self._closed

    def depth(self) -> dict[Priority, int]:
        """Return the number of queued tasks by priority."""
        depth: defaultdict[Priority, int] = defaultdict(int)
        for priority, _, _ in itertools.chain(self._heap, *self._parked.values()):
            depth[priority] += 1
        return dict(depth)

    def names(self, *, excluding: Collection[Action] = ()) -> set[NormalizedName]:
        """Return the projects that have a queued or active task, other than of the excluded actions."""
        queued = (task for _, _, task in itertools.chain(self._heap, *self._parked.values()))
        names = {task.name for task in queued if task.action not in excluding}
        return names.union(name for name, action in self._active.items() if action not in excluding)

    def active_names(self) -> set[NormalizedName]:
        """Return the projects that have an active task."""
        return set(self._active)

    def active_count(self) -> int:
        """Return how many projects have an active task."""
        return len(self._active)

    async def put(self, tasks: Iterable[Task]) -> None:
        """Add tasks."""
        async with self._changed:
            for task in tasks:
                heapq.heappush(self._heap, (task.priority, next(self._order), task))
            self._changed.notify_all()

    async def get(self, *, least_urgent: Callable[[], Priority | None]) -> Task:
        """
        Wait for the next task; the caller must pass it to ``done`` afterwards.

        Args:
            least_urgent: returns the lowest priority to hand out now, or None for no task at all. Call ``wake`` when
                its result changes.

        Raises:
            QueueClosedError: the queue was closed, even if it still holds tasks.
        """
        async with self._changed:
            while True:
                if self._closed:
                    raise QueueClosedError
                if (limit := least_urgent()) is not None and (task := self._next(limit)) is not None:
                    self._active[task.name] = task.action
                    return task
                await self._changed.wait()

    async def wake(self) -> None:
        """Have the callers of ``get`` check their conditions again."""
        async with self._changed:
            self._changed.notify_all()

    async def done(self, task: Task) -> None:
        """Release the project of a task."""
        async with self._changed:
            self._active.pop(task.name, None)
            for entry in self._parked.pop(task.name, ()):
                heapq.heappush(self._heap, entry)
            self._changed.notify_all()

    async def drop(self, run_id: str) -> int:
        """Remove the queued tasks of a run; return their number."""
        async with self._changed:
            before = len(self._heap) + sum(map(len, self._parked.values()))
            self._heap = [entry for entry in self._heap if entry[2].run_id != run_id]
            heapq.heapify(self._heap)
            for name, entries in list(self._parked.items()):
                self._parked[name] = [entry for entry in entries if entry[2].run_id != run_id]
            return before - len(self._heap) - sum(map(len, self._parked.values()))

    async def close(self) -> None:
        """Hand out no further task."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self, least_urgent: Priority) -> Task | None:
        while self._heap and self._heap[0][0] <= least_urgent:
            entry = heapq.heappop(self._heap)
            if entry[2].name not in self._active:
                return entry[2]
            self._parked[entry[2].name].append(entry)
        return None
