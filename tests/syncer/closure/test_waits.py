"""A thread that waits for the event loop ends with the resolution, and begins nothing afterwards."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from packaging.utils import NormalizedName

from mirror_syncer.closure.resolution import resolve
from mirror_syncer.closure.waits import Waits
from mirror_syncer.errors import AbandonedError
from mirror_syncer.model.page import File
from mirror_syncer.model.requirement_lines import RequirementLines
from syncer.closure.generated_pages import NOW, TWO_BY_TWO, GeneratedIndex, IndexMaker, MemorySource, Wanted


class Gate:
    """Something that is waited for until a test ends it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def wait(self) -> None:
        """Wait."""
        self.begun.set()
        await self.ended.wait()


class GatedSource(MemorySource):
    """A source that does not answer about one file."""

    def __init__(self, index: GeneratedIndex, *, filename: str) -> None:
        super().__init__(index)
        self.gate = Gate()
        self._filename = filename

    async def requirement_lines(self, name: NormalizedName, file: File) -> RequirementLines:
        """Return what a file's metadata says."""
        if file.filename == self._filename:
            await self.gate.wait()
        return await super().requirement_lines(name, file)


async def test_cancel_ends_what_a_thread_waits_for() -> None:
    """A thread that waits goes on at once, with an error that says why."""
    waits, gate = Waits(asyncio.get_running_loop()), Gate()
    waiting = asyncio.create_task(asyncio.to_thread(waits.result_of, gate.wait))
    await gate.begun.wait()
    waits.cancel()
    try:
        with pytest.raises(AbandonedError, match="cancelled"):
            async with asyncio.timeout(60):
                await waiting
    finally:
        gate.ended.set()


async def test_nothing_begins_after_a_cancel() -> None:
    """A thread that was busy while the resolution was cancelled asks for nothing any more."""
    waits, gate = Waits(asyncio.get_running_loop()), Gate()
    gate.ended.set()
    await asyncio.to_thread(waits.result_of, gate.wait)
    gate.begun.clear()
    waits.cancel()
    with pytest.raises(AbandonedError, match="cancelled"):
        await asyncio.to_thread(waits.result_of, gate.wait)
    assert not gate.begun.is_set()


async def test_cancelled_resolution_leaves_no_thread() -> None:
    """A proof that waits for metadata ends with its resolution, whatever becomes of the request."""
    index = IndexMaker()
    # The newest of each exclude each other, so the proof looks at an older release.
    index.upload("app", "1.0", "lib", "other")
    index.upload("lib", "1.0")
    index.upload("lib", "2.0", "base<2")
    index.upload("other", "1.0", "base>=2")
    index.upload("base", "1.0")
    index.upload("base", "2.0")
    source = GatedSource(index.index(), filename="lib-1.0-py3-none-any.whl")
    policy = Wanted(('{ name = "app", latest = 1 }',), TWO_BY_TWO).policy()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    resolution = asyncio.create_task(resolve(policy, source=source, now=NOW))
    await source.gate.begun.wait()
    resolution.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await resolution
        async with asyncio.timeout(60):
            await asyncio.to_thread(lambda: None)  # its turn comes once the only thread is free
    finally:
        source.gate.ended.set()
