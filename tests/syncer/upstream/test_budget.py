"""The budget of connections: never more at once, and a person's wish before all others."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream.http.budget import Budget

NAMED, CHANGED, BACKLOG = Priority.NAMED, Priority.CHANGED, Priority.BACKLOG


@contextlib.asynccontextmanager
async def connection(budget: Budget, priority: Priority) -> AsyncIterator[None]:
    """Hold a connection."""
    if not budget.take(priority):
        await budget.wait(priority)
    try:
        yield
    finally:
        budget.give_back()


class Ledger:
    """Borrows connections, and looks at every moment whether the laws hold."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.held: list[Priority] = []
        self.order: list[tuple[Priority, str]] = []

    def borrow(self, priority: Priority, *, until: asyncio.Event, name: str = "") -> asyncio.Task[None]:
        """Hold a connection until an event, in a task of its own."""
        return asyncio.create_task(self._borrow(priority, until, name))

    async def _borrow(self, priority: Priority, until: asyncio.Event, name: str) -> None:
        async with connection(self.budget, priority):
            self.held.append(priority)
            self.order.append((priority, name))
            assert len(self.held) <= self.budget.connections
            if self.budget.connections > 1:
                assert sum(held is not NAMED for held in self.held) < self.budget.connections, (
                    "the last one is a person's"
                )
            try:
                await until.wait()
            finally:
                self.held.remove(priority)


async def dispatcher(count: int = 5) -> None:
    """Let every task that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


@settings(max_examples=100)
@given(st.integers(1, 4), st.integers(0, 2**32))
def test_budget_under_fire(connections: int, seed: int) -> None:
    """However requests come, end and are cancelled, no more than N are lent, and in the end all N are free again."""

    async def fire() -> None:
        choose, ledger = random.Random(seed), Ledger(Budget(connections))
        borrowed: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        for _ in range(60):
            match choose.randrange(4):
                case 0 | 1:
                    until = asyncio.Event()
                    borrowed.append((ledger.borrow(choose.choice((NAMED, CHANGED, BACKLOG)), until=until), until))
                case 2 if borrowed:
                    choose.choice(borrowed)[1].set()
                case 3 if borrowed:
                    choose.choice(borrowed)[0].cancel()
            await dispatcher(choose.randrange(4))
        for _, until in borrowed:
            until.set()
        done = await asyncio.gather(*(task for task, _ in borrowed), return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in done)
        assert ledger.held == []
        again = [ledger.borrow(NAMED, until=asyncio.Event()) for _ in range(connections)]
        await dispatcher()
        assert len(ledger.held) == connections, "a cancelled wait has kept a connection"
        for task in again:
            task.cancel()
        await asyncio.wait(again)

    asyncio.run(fire())


async def test_the_urgent_go_first() -> None:
    """Those who wait are served by priority, and within one in the order in which they came."""
    ledger, over = Ledger(Budget(1)), asyncio.Event()
    tasks = [ledger.borrow(BACKLOG, until=over, name="first")]
    await dispatcher()
    for priority, name in ((BACKLOG, "late"), (CHANGED, "a"), (NAMED, "person"), (CHANGED, "b")):
        tasks.append(ledger.borrow(priority, until=over, name=name))
        await dispatcher()
    over.set()
    await asyncio.gather(*tasks)
    assert ledger.order == [(BACKLOG, "first"), (NAMED, "person"), (CHANGED, "a"), (CHANGED, "b"), (BACKLOG, "late")]


async def test_one_is_kept_for_persons() -> None:
    """While large files hold all others, who names a project gets the kept connection at once, and only they."""
    ledger, over = Ledger(Budget(3)), asyncio.Event()
    tasks = [ledger.borrow(BACKLOG, until=over) for _ in range(4)]
    await dispatcher()
    assert ledger.held == [BACKLOG, BACKLOG]
    tasks.append(ledger.borrow(NAMED, until=over))
    await dispatcher()
    assert ledger.held == [BACKLOG, BACKLOG, NAMED]
    over.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("lent_first", [False, True])
async def test_cancelled_wait_passes_the_place_on(*, lent_first: bool) -> None:
    """A wait that is cancelled, even in the very turn in which it is lent a connection, leaves it to the next."""
    ledger, over = Ledger(Budget(1)), asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(connection(ledger.budget, CHANGED))
        waiting = ledger.borrow(CHANGED, until=over)
        behind = ledger.borrow(CHANGED, until=over, name="behind")
        await dispatcher()
        if not lent_first:
            waiting.cancel()
            await dispatcher()
    waiting.cancel()  # no turn has passed since the connection was given back
    await dispatcher()
    assert ledger.order == [(CHANGED, "behind")]
    over.set()
    await behind


async def test_connections_carry_several_requests_where_all_hosts_let_them() -> None:
    """An index that multiplexes widens the budget; files of a host that does not narrow it, for good."""
    budget = Budget(2)

    def room() -> int:
        taken = 0
        while budget.take(NAMED):
            taken += 1
        for _ in range(taken):
            budget.give_back()
        return taken

    assert room() == 2
    budget.widen()
    assert room() == 16
    budget.narrow()
    budget.widen()
    assert room() == 2
