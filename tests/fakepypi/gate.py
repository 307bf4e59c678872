"""A gate: order without sleeping."""

import asyncio


class Gate:
    """
    Holds requests until the test lets them go on.

    ``gate = faults.on_page("foo").gate()``, then ``await gate.arrival()``, look, ``gate.open()``.
    """

    def __init__(self) -> None:
        self._arrivals = asyncio.Semaphore(0)
        self._opened = asyncio.Event()

    async def arrival(self) -> None:
        """Wait until one more request stands here."""
        await self._arrivals.acquire()

    def open(self) -> None:
        """Let all go on, those to come too."""
        self._opened.set()

    async def hold(self) -> None:
        """Stand here until the gate is open."""
        self._arrivals.release()
        await self._opened.wait()
