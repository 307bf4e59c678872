"""The queue of projects: the most urgent first, and never two hands on one project."""

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
    """Return a project's turn."""
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
def test_queue_at_random(seed: int) -> None:
    """However work comes, is taken, given back and dropped, the queue does what a plain sorted list would."""

    async def work() -> None:
        choose, queue = random.Random(seed), WorkQueue()
        waiting: list[Task] = []  # the model: in the order in which they came
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


async def test_priority_then_order() -> None:
    """The lowest number comes first, and of one priority who came first."""
    queue = WorkQueue()
    await queue.put([task("a", BACKLOG), task("b", CHANGED), task("c", NAMED), task("d", CHANGED)])
    taken = [await queue.get(least_urgent=lambda: BACKLOG) for _ in range(4)]
    assert [one.name for one in taken] == ["c", "b", "d", "a"]


async def test_a_project_in_hand_does_not_block_others() -> None:
    """A second wish for a project in hand waits aside, others pass it, and it comes when the first is done."""
    queue = WorkQueue()
    await queue.put([task("a", NAMED, "first"), task("a", NAMED, "second"), task("b", BACKLOG)])
    first = await queue.get(least_urgent=lambda: BACKLOG)
    assert (await queue.get(least_urgent=lambda: BACKLOG)).name == "b"
    assert await take(queue) is None
    await queue.done(first)
    assert (await queue.get(least_urgent=lambda: BACKLOG)).run_id == "second"


async def test_the_kept_hand_takes_only_what_is_urgent() -> None:
    """Who asks for what a person named alone waits for it, though other work is there, and gets it as it comes."""
    queue = WorkQueue()
    await queue.put([task("a", BACKLOG)])
    urgent = asyncio.create_task(queue.get(least_urgent=lambda: NAMED))
    assert await take(queue, least_urgent=NAMED) is None
    await queue.put([task("b", NAMED)])
    async with asyncio.timeout(5):
        assert (await urgent).name == "b"


async def test_cancelled_wait_takes_nothing() -> None:
    """A hand that is cancelled while it waits takes no task with it."""
    queue = WorkQueue()
    waiting = [asyncio.create_task(queue.get(least_urgent=lambda: BACKLOG)) for _ in range(3)]
    await asyncio.sleep(0)
    await queue.put([task("a")])
    for one in waiting[:2]:
        one.cancel()
    async with asyncio.timeout(5):
        assert (await waiting[2]).name == "a"


async def test_closed_queue_gives_nothing() -> None:
    """Closing wakes those who wait and refuses those who come, whatever is left; what is in hand may be given back."""
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


async def test_projects_without_those_whose_files_leave() -> None:
    """A project whose files merely leave, waiting or in hand, is told apart from one that is looked at."""
    queue = WorkQueue()
    await queue.put(Task("r", name, Action.COLLECT, CHANGED) for name in NAMES[:3])
    await queue.put([task("b"), task("d")])
    assert await take(queue) == Task("r", NAMES[0], Action.COLLECT, CHANGED)

    assert queue.names() == set(NAMES)
    assert queue.names(excluding=Action.COLLECT) == {"b", "d"}
