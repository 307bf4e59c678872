"""A gate, which orders events without sleeping."""

import asyncio


class Gate:
    """
    Holds requests until the test opens it.

    ``gate = faults.on_page("foo").gate()``, then ``await gate.arrival()``, check, ``gate.open()``.
    """

    def __init__(self) -> None:
        self._arrivals = asyncio.Semaphore(0)
        self._opened = asyncio.Event()

    async def arrival(self) -> None:
        """Wait until one more request is held here."""
        await self._arrivals.acquire()

    def open(self) -> None:
        """Let all held and future requests continue."""
        self._opened.set()

    async def hold(self) -> None:
        """Wait here until the gate is open."""
        self._arrivals.release()
        await self._opened.wait()
