"""status.json: what a portal of mirror sites reads of us, as tunasync would say it."""

import asyncio
import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from mirror_syncer.volume.volume import Volume
from syncer.site import Running, Site

NEVER = -62_135_596_800


def told(site: Site) -> dict[str, Any]:
    """Return what the file says of the one mirror, each time in both its forms the same."""
    (mirror,) = json.loads((site.web / "status.json").read_bytes())
    for name in ("last_update", "last_started", "last_ended", "next_schedule"):
        moment = datetime.strptime(mirror[name], "%Y-%m-%d %H:%M:%S %z")
        assert moment == datetime(1970, 1, 1, tzinfo=moment.tzinfo) + timedelta(seconds=mirror[f"{name}_ts"])
    return dict(mirror)


async def becomes(site: Site, status: str) -> dict[str, Any]:
    """Return what the file says once it says so; the tree tells nobody, so it is looked at."""
    async with asyncio.timeout(60):
        while not (site.web / "status.json").exists() or told(site)["status"] != status:  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.01)
    return told(site)


async def test_a_sync_is_told_from_its_start_to_its_end(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """none, syncing, success: with when it began, when it ended, how much there is, and by which version."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    gate = pypi.faults.on_page("six").gate()
    async with site.running() as running:
        before = await becomes(site, "none")
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        meanwhile = await becomes(site, "syncing")
        gate.open()
        ended = await running.ended(run)
        after = await becomes(site, "success")

    assert (before["last_update_ts"], before["size"], before["trace"]["files"]) == (NEVER, "0 bytes", 0)
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert meanwhile["last_started_ts"] == after["last_started_ts"] == int(ended.started_at.timestamp())
    assert meanwhile["last_ended_ts"] == NEVER
    assert after["last_ended_ts"] == after["last_update_ts"] == int(ended.finished_at.timestamp())
    assert (after["name"], after["is_master"], after["upstream"]) == ("pypi", True, pypi.url)
    assert (after["trace"]["projects"], after["trace"]["files"], after["serial"]) == (1, 2, None)
    assert after["trace"]["version"].startswith("pypi-mirror/")
    site.assert_whole()


async def test_a_failure_leaves_the_last_update(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """One bad project among others is an update; an upstream that is down is `failed`, and the update before stands."""
    for name in ("six", "idna"):
        pypi.index.project(name).upload("1.0")
    site.select("six", "idna")
    pypi.faults.on_page("idna").status(500)
    incomplete = await site.sync()
    partly = told(site)
    pypi.faults.on_page("six").status(500)
    failed = await site.sync()

    assert (incomplete.state, failed.state) == (RunState.INCOMPLETE, RunState.FAILED)
    assert (partly["status"], told(site)["status"]) == ("success", "failed")
    assert told(site)["last_update_ts"] == partly["last_update_ts"]


async def test_a_syncer_that_stopped_syncs_no_more(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A run that a stop interrupted is not told as under way."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    gate = pypi.faults.on_page("six").gate()
    async with site.running() as running:
        running.ask(RunKind.SYNC)
        await gate.arrival()
        await becomes(site, "syncing")
        running.mirror.engine.stop(grace_seconds=0)

    assert told(site)["status"] == "none"


async def test_the_last_word_comes_last(site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk that still writes that a run is under way when the syncer stops does not have the last word."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    pypi.faults.on_page("six").gate()
    loop, slow = asyncio.get_running_loop(), threading.Event()
    writing, written, release = asyncio.Event(), threading.Event(), threading.Event()
    write_status = Volume.write_status

    def write_slowly(volume: Volume, body: bytes) -> None:
        if not slow.is_set() and b'"syncing"' in body:
            slow.set()
            loop.call_soon_threadsafe(writing.set)
            release.wait(60)
            write_status(volume, body)
            written.set()
        else:
            write_status(volume, body)

    monkeypatch.setattr(Volume, "write_status", write_slowly)
    async with site.running() as running:
        running.ask(RunKind.SYNC)
        await writing.wait()
        running.mirror.engine.stop(grace_seconds=0)
        loop.call_later(0.5, release.set)

    assert written.wait(60)
    assert told(site)["status"] == "none"


async def test_the_serial_is_told(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With everything, the file says up to which of upstream's changes the mirror is."""
    pypi.index.project("six").upload("1.0")
    site.everything()
    await site.sync()

    assert told(site)["serial"] == pypi.index.serial


async def test_nothing_is_written_where_the_disk_was(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Where the marker is gone the disk is not mounted: the run fails, and the file is left as it was."""
    pypi.index.project("six").upload("1.0")
    site.select("six")

    async def fail(running: Running) -> None:
        (site.data / "pypi" / ".mirror-id").unlink()
        (site.web / "status.json").write_text("another disk's")
        assert (await running.sync()).state is RunState.FAILED

    async with site.running() as running:
        await running.sync()
        await becomes(site, "success")
        await fail(running)

    assert (site.web / "status.json").read_text() == "another disk's"
