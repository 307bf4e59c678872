"""What a thread waits for in the event loop, and how that ends."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from mirror_syncer.errors import AbandonedError

T = TypeVar("T")
_CANCELLED = "the resolution was cancelled"


class Waits:
    """
    What the solver's thread waits for; it ends when the resolution is cancelled, though a thread cannot be.

    Args:
        loop: runs what is waited for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_cancelled = False
        self._current: asyncio.Task[Any] | None = None

    def check(self) -> None:
        """
        Go on unless the resolution was cancelled.

        Raises:
            AbandonedError: it was.
        """
        if self._is_cancelled:
            raise AbandonedError(_CANCELLED)

    def result_of(self, action: Callable[[], Awaitable[T]]) -> T:
        """
        Run a coroutine in the event loop, and return its result. Blocks.

        Raises:
            AbandonedError: the resolution was cancelled.
        """

        async def run() -> T:
            self.check()
            self._current = asyncio.current_task()  # in the loop, as in cancel(): so none is missed
            return await action()

        self.check()
        try:
            return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
        except CancelledError:
            raise AbandonedError(_CANCELLED) from None

    def cancel(self) -> None:
        """End what is waited for, and let nothing else be; called in the event loop."""
        self._is_cancelled = True
        if self._current is not None:
            self._current.cancel()
