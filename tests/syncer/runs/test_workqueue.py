"""The queue of projects: urgent tasks first, and never two workers on one project."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from mirror_syncer.model.priority import Priority
from mirror_syncer.runs.queue import Action, QueueClosedError, Task, WorkQueue

NAMES = tuple(NormalizedName(name) for name in ("a", "b", "c", "d"))
NAMED, CHANGED, BACKLOG = PRIORITIES = (Priority.NAMED, Priority.CHANGED, Priority.BACKLOG)


def task(name: str, priority: Priority = BACKLOG, run: str = "r") -> Task:
    """Return a task for a project."""
    return Task(run, NormalizedName(name), Action.REFRESH, priority)


async def take(queue: WorkQueue, *, least_urgent: Priority = BACKLOG) -> Task | None:
    """Return the next task if there is one right now."""
    getting = asyncio.create_task(queue.get(least_urgent=lambda: least_urgent))
    for _ in range(5):
        await asyncio.sleep(0)
    if getting.done():
        return getting.result()
    getting.cancel()
    await asyncio.wait([getting])
    return None


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_queue_under_random_operations_matches_its_model(seed: int) -> None:
    """Under random operations, the queue behaves like a plain sorted list."""

    async def work() -> None:
        choose, queue = random.Random(seed), WorkQueue()
        waiting: list[Task] = []  # the model, in order of arrival
        active: list[Task] = []
        for number in range(60):
            match choose.randrange(5):
                case 0 | 1:
                    new = [
                        task(choose.choice(NAMES), choose.choice(PRIORITIES), f"{choose.randrange(3)}")
                        for _ in range(choose.randint(0, 3))
                    ]
                    waiting += new
                    await queue.put(new)
                case 2 | 3 if number % 2 or not active:
                    least_urgent = choose.choice(PRIORITIES)
                    busy = {held.name for held in active}
                    free = [one for one in waiting if one.name not in busy and one.priority <= least_urgent]
                    expected = min(free, key=lambda one: one.priority, default=None)
                    assert await take(queue, least_urgent=least_urgent) == expected
                    if expected:
                        waiting.remove(expected)
                        active.append(expected)
                case 4:
                    run = f"{choose.randrange(3)}"
                    left = [one for one in waiting if one.run_id != run]
                    assert await queue.drop(run) == len(waiting) - len(left)
                    waiting = left
                case _ if active:
                    await queue.done(active.pop(choose.randrange(len(active))))
            depth = {p: n for p in PRIORITIES if (n := sum(one.priority == p for one in waiting))}
            assert queue.depth() == depth

    asyncio.run(work())


async def test_queue_sorts_by_priority_then_arrival() -> None:
    """The queue returns the most urgent task first, and tasks of one priority in order of arrival."""
    queue = WorkQueue()
    await queue.put([task("a", BACKLOG), task("b", CHANGED), task("c", NAMED), task("d", CHANGED)])
    taken = [await queue.get(least_urgent=lambda: BACKLOG) for _ in range(4)]
    assert [one.name for one in taken] == ["c", "b", "d", "a"]


async def test_busy_project_does_not_block_others() -> None:
    """A second task of a busy project waits, other tasks pass it, and it follows when the first is done."""
    queue = WorkQueue()
    await queue.put([task("a", NAMED, "first"), task("a", NAMED, "second"), task("b", BACKLOG)])
    first = await queue.get(least_urgent=lambda: BACKLOG)
    assert (await queue.get(least_urgent=lambda: BACKLOG)).name == "b"
    assert await take(queue) is None
    await queue.done(first)
    assert (await queue.get(least_urgent=lambda: BACKLOG)).run_id == "second"


async def test_get_with_a_priority_limit_waits_for_an_urgent_task() -> None:
    """A worker that accepts only urgent tasks waits for one, even if other tasks are queued."""
    queue = WorkQueue()
    await queue.put([task("a", BACKLOG)])
    urgent = asyncio.create_task(queue.get(least_urgent=lambda: NAMED))
    assert await take(queue, least_urgent=NAMED) is None
    await queue.put([task("b", NAMED)])
    async with asyncio.timeout(60):
        assert (await urgent).name == "b"


async def test_cancelled_get_takes_no_task() -> None:
    """A cancelled wait for a task takes no task from the queue."""
    queue = WorkQueue()
    waiting = [asyncio.create_task(queue.get(least_urgent=lambda: BACKLOG)) for _ in range(3)]
    await asyncio.sleep(0)
    await queue.put([task("a")])
    for one in waiting[:2]:
        one.cancel()
    async with asyncio.timeout(60):
        assert (await waiting[2]).name == "a"


async def test_closed_queue_refuses_get() -> None:
    """A closed queue ends waiting calls and refuses new ones, but accepts finished tasks."""
    queue = WorkQueue()
    await queue.put([task("a"), task("a")])
    held = await queue.get(least_urgent=lambda: BACKLOG)
    waiting = asyncio.create_task(queue.get(least_urgent=lambda: BACKLOG))
    await asyncio.sleep(0)
    await queue.close()
    with pytest.raises(QueueClosedError):
        await waiting
    await queue.done(held)
    with pytest.raises(QueueClosedError):
        await queue.get(least_urgent=lambda: BACKLOG)
    assert queue.depth() == {BACKLOG: 1}


async def test_queue_names_exclude_an_action_on_request() -> None:
    """The queue names its projects, on request without those whose files are only collected."""
    queue = WorkQueue()
    await queue.put(Task("r", name, Action.COLLECT, CHANGED) for name in NAMES[:3])
    await queue.put([task("b"), task("d")])
    assert await take(queue) == Task("r", NAMES[0], Action.COLLECT, CHANGED)

    assert queue.names() == set(NAMES)
    assert queue.names(excluding=[Action.COLLECT]) == {"b", "d"}
