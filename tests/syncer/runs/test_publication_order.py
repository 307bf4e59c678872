"""At each moment of a sync one can install from each published page: what is required comes first and leaves last."""

import asyncio
import random
from pathlib import Path

import pytest

import fakepypi
from mirror_contract import RunKind, RunState
from syncer.crash_injection import CrashPoint, ForkServer
from syncer.indexes import choose, upload
from syncer.installable import missing, watched
from syncer.site import Site

_LATE = 1.2
"""Seconds; no group waits longer than one second for others, so what comes later is published apart."""


def slow_down(pypi: fakepypi.FakePyPI, **seconds: float) -> None:
    """Delay the files of projects, so that others would be published before them."""
    for name, delay in seconds.items():
        pypi.faults.on_file(project=name).delay(delay)


async def test_first_sync_publishes_dependencies_first(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Slow dependencies of a new project are published before it."""
    upload(pypi, "app 1.0: lib", "lib 1.0: base", "base 1.0", "other 1.0: base")
    slow_down(pypi, base=_LATE)
    choose(site, "app", "other")
    async with watched(site) as found:
        run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert found == []
    assert site.pages() == ["app", "base", "lib", "other"]


@pytest.mark.parametrize("slow", ["app", "lib", "news"])
async def test_upgrade_keeps_old_and_new_release_installable(site: Site, pypi: fakepypi.FakePyPI, slow: str) -> None:
    """A release that needs others than the one before comes after these, and what only that needed leaves later."""
    upload(pypi, "app 1.0: lib<2, old", "lib 1.0", "old 1.0: older", "older 1.0")
    choose(site, "app")
    await site.sync()
    upload(pypi, "app 2.0: lib>=2, news", "lib 2.0", "news 1.0")
    slow_down(pypi, **{slow: _LATE})
    async with watched(site) as found:
        run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert found == []
    assert site.pages() == ["app", "lib", "news"]
    assert site.filenames("lib") == {"lib-2.0-py3-none-any.whl"}


async def test_circle_appears_at_once(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Projects that require each other are published together, when the slowest is ready."""
    upload(pypi, "a 1.0: b==1.0", "b 1.0: c==1.0", "c 1.0: a==1.0")
    choose(site, "a")
    slow_down(pypi, b=_LATE)
    async with watched(site) as found:
        await site.sync()
        upload(pypi, "a 2.0: b==2.0", "b 2.0: c==2.0", "c 2.0: a==2.0")
        run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert found == []
    assert {name: len(site.filenames(name)) for name in site.pages()} == {"a": 1, "b": 1, "c": 1}


async def test_line_that_goes_leaves_before_what_it_needs(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A line that is removed leaves before its dependencies, and before old releases that only it needs."""
    upload(pypi, "app 1.0: lib<2, base", "other 1.0: lib", "lib 1.0: base", "lib 2.0", "base 1.0: deep", "deep 1.0")
    choose(site, "app", "other")
    await site.sync()
    assert len(site.filenames("lib")) == 2
    choose(site, "other")
    async with watched(site) as found:
        run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert found == []
    assert site.pages() == ["lib", "other"]
    assert site.filenames("lib") == {"lib-2.0-py3-none-any.whl"}


async def test_interrupted_sync_continues_in_order(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync that was stopped between resolution and publication is continued in the same order."""
    upload(pypi, "app 1.0: lib<2", "lib 1.0")
    choose(site, "app")
    await site.sync()
    upload(pypi, "app 2.0: lib>=2", "lib 2.0: news", "news 1.0")
    gate = pypi.faults.on_file(project="news").gate()
    async with watched(site) as found:
        async with site.running() as running:
            run = running.ask(RunKind.SYNC)
            await gate.arrival()
            running.mirror.engine.stop(grace_seconds=0)
        assert site.pages() == ["app", "lib"]
        pypi.faults.clear()
        slow_down(pypi, news=0.3, lib=0.2)
        async with site.running() as running:
            running.mirror.runs.restore()
            run = await running.ended(run)

    assert run.state is RunState.SUCCEEDED
    assert found == []
    assert site.pages() == ["app", "lib", "news"]


async def test_sync_after_a_cancelled_one_publishes_in_order(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What a cancelled sync resolved and did not publish waits for its turn in the next sync, too."""
    upload(pypi, "app 1.0: lib<2", "lib 1.0")
    choose(site, "app")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: lib>=2", "lib 2.0: news", "news 1.0")
        gate = pypi.faults.on_file(project="news").gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        active = running.mirror.runs.active(run.id)
        assert active is not None
        cancelling = asyncio.create_task(running.mirror.engine.cancel(active))
        await asyncio.sleep(0)  # it is cancelled before it is waited for
        assert active.is_stopping
        gate.open()
        await cancelling
        assert (await running.ended(run)).state is RunState.CANCELLED
        slow_down(pypi, lib=_LATE)
        async with watched(site) as found:
            run = await running.sync()

    assert run.state is RunState.SUCCEEDED
    assert found == []
    assert site.pages() == ["app", "lib", "news"]


@pytest.mark.slow
@pytest.mark.proves("reliability/crash")
async def test_kill_at_any_step_leaves_everything_installable(
    tmp_path: Path, pypi: fakepypi.FakePyPI, fork_server: ForkServer
) -> None:
    """Whenever a sync is killed, each page can be installed from, and also at each moment of the next sync."""
    (tmp_path / "mirror").mkdir()
    site = Site(tmp_path / "mirror", upstream=pypi.url)
    upload(pypi, "app 1.0: lib<2, old", "gone 1.0: lib<2", "lib 1.0", "old 1.0: older", "older 1.0")
    choose(site, "app", "gone")
    await site.sync()
    upload(pypi, "app 2.0: lib>=2, news", "lib 2.0", "news 1.0")
    choose(site, "app")

    crash_point = CrashPoint(copies=str(tmp_path / "copies"))
    result = await asyncio.to_thread(fork_server.run, "sync", environment=site.environment(), crash_point=crash_point)
    killed = [Site(path, upstream=pypi.url) for path in sorted((tmp_path / "copies").iterdir())]

    assert result.code == 0
    assert len(killed) > 20
    assert [missing(copy) for copy in killed if missing(copy)] == []
    for copy in killed[:: len(killed) // 4]:
        async with watched(copy) as found:
            run = await copy.sync()
        assert (run.state, found) == (RunState.SUCCEEDED, [])
        assert copy.pages() == ["app", "lib", "news"]


@pytest.mark.parametrize("seed", range(3))
async def test_random_changes_keep_everything_installable(site: Site, pypi: fakepypi.FakePyPI, seed: int) -> None:
    """Whatever releases, yanks and lines change, each page can be installed from during the sync."""
    dice = random.Random(seed)
    names = "abcdef"
    for name in names:
        upload(pypi, f"{name} 1.0: {', '.join(sorted(dice.sample(names.replace(name, ''), 2)))}")
        pypi.faults.on_file(project=name).delay(dice.random() / 10)
    choose(site, *dice.sample(names, 2))
    async with watched(site) as found, site.running() as running:
        for number in range(2, 5):
            await running.sync()
            for name in names:
                others = dice.sample(names.replace(name, ""), 2)
                sign = dice.choice(["<", ">=", "<="])
                upload(pypi, f"{name} {number}.0: {others[0]}{sign}{number}, {others[1]}")
                if dice.random() < 0.2 and number > 2:
                    pypi.index.project(name).yank(f"{number}.0")
            choose(site, *dice.sample(names, 2), latest=dice.choice([1, 2]))
        await running.sync()

    assert found == []
    assert missing(site) == []
