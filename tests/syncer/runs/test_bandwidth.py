"""The bandwidth limit: how many bytes all transfers together download per second."""

import asyncio
import time

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer.site import Site


async def test_parallel_transfers_keep_within_the_bandwidth(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Parallel downloads together stay within the bandwidth limit, and the waits fail none of them."""
    for name in ("alpha", "beta", "gamma"):
        pypi.index.project(name).upload_file(f"{name}-1.0.tar.gz", name.encode() * 40_000, version="1.0")
    site.select("alpha", "beta", "gamma")
    began = time.monotonic()
    async with site.running(bandwidth="600kB") as running:
        run = await running.sync()
    seconds = time.monotonic() - began
    assert (run.state, run.counts.bytes_fetched) == (RunState.SUCCEEDED, 560_000)
    assert seconds > 0.5
    site.assert_whole()


async def test_oversized_file_after_a_pause_fails_at_once(
    site: Site, pypi: fakepypi.FakePyPI, caplog: pytest.LogCaptureFixture
) -> None:
    """A file larger than declared fails as soon as its paused transfer resumes, and asyncio logs nothing."""
    pypi.index.project("alpha").upload_file("alpha-1.0.tar.gz", b"alpha" * 8_000, version="1.0")
    pypi.faults.on_page().edit(lambda page: page["files"][0].update(size=39_999))
    site.select("alpha")
    began = time.monotonic()
    async with site.running(bandwidth="64kB") as running:
        run = await running.sync()
    assert "more than the 39,999 bytes" in run.failures[0].reason
    assert time.monotonic() - began < 5
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_paused_transfer_at_a_stop_leaves_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A stop during a paused transfer leaves no page and no temporary file."""
    pypi.index.project("alpha").upload_file("alpha-1.0.tar.gz", b"alpha" * 400_000, version="1.0")
    site.select("alpha")
    gate = pypi.faults.on_file().gate()
    async with site.running(bandwidth="64kB") as running:
        running.ask(RunKind.SYNC)
        await gate.arrival()
        gate.open()
        async with asyncio.timeout(60):
            while not list(site.temporaries()):  # noqa: ASYNC110 - the tree sends no events
                await asyncio.sleep(0.01)
        running.mirror.engine.stop(grace_seconds=0)
    assert (site.pages(), list(site.temporaries())) == ([], [])
