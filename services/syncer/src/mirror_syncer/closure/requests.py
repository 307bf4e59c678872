"""Requests of a dependency closure: few at a time, each made once, counted, and not repeated when they fail."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from packaging.utils import NormalizedName

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
MAX_REQUESTS = 16  # at once: more would take the connections from downloads


@dataclass(slots=True)
class RequestCounts:
    """What a closure requested of upstream."""

    pages: int = 0
    page_bytes: int = 0
    """Without compression."""
    metadata: int = 0
    """Requests for ``.metadata``, for parts of wheels, and for source distributions."""
    metadata_bytes: int = 0
    not_made: int = 0
    """What would have been requested if there were an upstream to ask."""


@dataclass(slots=True)
class FailedRequests:
    """
    What upstream did not deliver in a run, and why.

    A run resolves several times, and a page that fails takes up to 150 s: all attempts, each after a longer wait. So
    what failed once is not requested again before the next run.
    """

    pages: dict[NormalizedName, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """By URL."""


class SharedCalls(Generic[K, V]):
    """Calls by key, each made once: later and concurrent ones get the same result, or the same error."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return the result of the key's call, which one caller's cancellation does not end."""
        if (task := self._tasks.get(key)) is None:
            task = self._tasks[key] = asyncio.create_task(call())
        return await asyncio.shield(task)

    async def cancel(self) -> None:
        """Cancel the calls that have not ended, and forget all of them."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
