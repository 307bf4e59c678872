"""Dependencies in each kind of run: of named projects, offline, with force, cancelled, stopped, in the background."""

import asyncio
import json
import threading
import time

import pytest

import fakepypi
from mirror_contract import ProjectState, RunKind, RunState, UnmetReason
from mirror_syncer.catalog.requirement_lines import metadata_key
from mirror_syncer.model.names import Sha256
from mirror_syncer.model.requirement_lines import RequirementLines
from mirror_syncer.runs import engine
from mirror_syncer.upstream import Limits
from syncer.indexes import choose, upload
from syncer.osv import record
from syncer.runs.test_holding import Host, ago, mature
from syncer.site import Site

_PATIENT = Limits()  # as shipped: a hanging request fails after 150 s
_AGE = '[age]\nmin = "7d"\n'


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host that the mirror runs on."""
    return Host(monkeypatch)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the grace period of a cancelled run from five seconds to a fifth of a second."""
    monkeypatch.setattr(engine, "_CANCEL_SECONDS", 0.2)


async def test_first_run_leaves_each_project_current(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A line or dependency is current after the sync that publishes it first."""
    upload(pypi, "app 1.0: lib", "lib 1.0", "other 1.0")
    choose(site, "app", "other")
    async with site.running() as running:
        pypi.faults.on_page("lib").status(404)
        await running.sync()
        pypi.faults.clear()
        upload(pypi, "new 1.0: lib")
        choose(site, "app", "other", "new")
        run = await running.sync(force=True)
        rows = {row.name: (row.state, row.error) for row in running.mirror.catalog.projects.all_rows()}

    assert run.state is RunState.SUCCEEDED
    assert rows == dict.fromkeys(("app", "lib", "new", "other"), (ProjectState.CURRENT, None))


async def test_named_run_brings_new_dependencies(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync of one project brings what its new release requires, and requests no other line's page."""
    upload(pypi, "app 1.0", "other 1.0: base", "base 1.0")
    choose(site, "app", "other")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: news", "news 1.0", "other 2.0: base")
        pypi.log.forget()
        run = await running.sync("app")
        closure = running.mirror.policy.current.closure

    assert run.state is RunState.SUCCEEDED
    assert closure is not None
    assert closure.projects.keys() == {"app", "base", "news", "other"}  # what is known of the others counts on
    assert site.pages() == ["app", "base", "news", "other"]
    assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}
    assert not [path for path in pypi.log.paths() if "other" in path or "base" in path]


async def test_offline_run_asks_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync with ``offline`` uses the stored closure and requests nothing."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app")
    async with site.running() as running:
        await running.sync()
        upload(pypi, "app 2.0: news", "news 1.0")
        pypi.log.forget()
        choose(site, "app", latest=2)
        run = await running.sync(offline=True)

    assert run.state is RunState.SUCCEEDED
    assert (site.pages(), pypi.log.paths()) == (["app", "lib"], [])


async def test_cancel_ends_a_resolution_that_waits_for_upstream(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A cancelled run ends within seconds, though a dependency's page hangs; the closure in force stays."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app")
    async with site.running(limits=_PATIENT) as running:
        await running.sync()
        before = running.mirror.policy.current.closure
        upload(pypi, "app 2.0: news", "news 1.0")
        gate = pypi.faults.on_page("news").gate()
        run = running.ask(RunKind.SYNC)
        await gate.arrival()
        active = running.mirror.runs.active(run.id)
        assert active is not None
        await running.mirror.engine.cancel(active)
        async with asyncio.timeout(60):
            run = await running.ended(run)

        assert run.state is RunState.CANCELLED
        assert running.mirror.policy.current.closure == before
        assert site.filenames("app") == {"app-1.0-py3-none-any.whl"}
        pypi.faults.clear()
        assert (await running.sync()).state is RunState.SUCCEEDED
    assert site.pages() == ["app", "news"]


@pytest.mark.parametrize("is_stop", [False, True])
async def test_proof_that_waits_for_upstream_holds_up_no_stop(
    site: Site, pypi: fakepypi.FakePyPI, *, is_stop: bool
) -> None:
    """A cancel, or a stop of the service, ends a proof that waits for upstream in a thread; no thread is left."""
    # The newest of each exclude each other, so the proof looks at an older release.
    upload(pypi, "app 1.0: lib, other", "lib 1.0", "lib 2.0: base<2", "other 1.0: base>=2", "base 1.0", "base 2.0")
    choose(site, "app")
    gate = pypi.faults.on_metadata("lib-1.0-py3-none-any.whl").gate()
    before = set(threading.enumerate())
    async with site.running(limits=_PATIENT) as running:
        run = running.ask(RunKind.SYNC)
        async with asyncio.timeout(60):
            await gate.arrival()
        active = running.mirror.runs.active(run.id)
        assert active is not None
        if not is_stop:
            await running.mirror.engine.cancel(active)
            async with asyncio.timeout(60):
                assert (await running.ended(run)).state is RunState.CANCELLED
    async with asyncio.timeout(60):
        await asyncio.get_running_loop().shutdown_default_executor()
    gate.open()
    assert not [thread for thread in set(threading.enumerate()) - before if "asyncio" in thread.name]
    assert site.pages() == []


async def test_matured_release_brings_its_dependencies(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """A release that matures comes with what it requires, without a request for a page that is known."""
    upload(pypi, "app 1.0: lib<2", "lib 1.0", uploaded_at=ago(days=20))
    upload(pypi, "lib 2.0", uploaded_at=ago(days=10))
    upload(pypi, "app 2.0: lib>=2", uploaded_at=ago(days=6.5))
    choose(site, "app", more=_AGE)
    async with site.running() as running:
        await running.sync()
        assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl"}
        pypi.log.forget()
        host.wait(days=0.51)
        await mature(running)

    assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}
    assert site.filenames("lib") == {"lib-2.0-py3-none-any.whl"}
    assert [path for path in pypi.log.paths() if path.startswith("/simple/")] == []


async def test_matured_release_waits_while_upstream_is_down(site: Site, pypi: fakepypi.FakePyPI, host: Host) -> None:
    """A matured release whose requirements cannot be read waits, and is published once they can."""
    upload(pypi, "app 1.0", uploaded_at=ago(days=20))
    upload(pypi, "news 1.0", uploaded_at=ago(days=10))
    upload(pypi, "app 2.0: news", uploaded_at=ago(days=6.5))
    choose(site, "app", more=_AGE)
    async with site.running() as running:
        await running.sync()
        pypi.faults.everywhere().status(503)
        host.wait(days=0.51)
        await mature(running)
        assert site.filenames("app") == {"app-1.0-py3-none-any.whl"}
        pypi.faults.clear()
        await running.sync()

    assert site.filenames("app") == {"app-2.0-py3-none-any.whl"}
    assert site.pages() == ["app", "news"]


async def test_held_dependency_is_passed_over(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Of a dependency whose newest release is too young the next older one is mirrored."""
    upload(pypi, "app 1.0: lib", "lib 1.0", uploaded_at=ago(days=20))
    upload(pypi, "lib 2.0", uploaded_at=ago(days=1))
    choose(site, "app", more=_AGE)
    run = await site.sync()

    assert run.state is RunState.SUCCEEDED
    assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl"}


async def test_blocked_dependency_is_named(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A dependency that is blocked is neither requested nor mirrored, and the requirement is named as unmet."""
    upload(pypi, "app 1.0: lib, evil", "lib 1.0", "evil 1.0")
    choose(site, "app", more='[block]\nprojects = ["evil"]\n')
    async with site.running() as running:
        run = await running.sync()
        closure = running.mirror.policy.current.closure

    assert run.state is RunState.INCOMPLETE  # the line cannot be installed
    assert closure is not None
    assert [(one.requirement, one.reason) for one in closure.unmet if one.version] == [("evil", UnmetReason.BLOCKED)]
    assert site.pages() == ["app", "lib"]
    assert not [path for path in pypi.log.paths() if "evil" in path]


async def test_advisory_brings_the_next_older_release(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """An advisory that blocks a mirrored dependency brings the next older release in the same run."""
    upload(pypi, "app 1.0: lib", "lib 1.0", "lib 2.0")
    choose(site, "app")
    await site.sync()
    directory = site.policy.parent / "advisories"
    directory.mkdir()
    (directory / "MAL-2026-1.json").write_text(json.dumps(record("MAL-2026-1", "lib", versions=["2.0"])))
    await site.sync()

    assert site.filenames("lib") == {"lib-1.0-py3-none-any.whl"}


async def test_sync_without_news_resolves_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A sync without news requests each page once, and does not resolve again; with ``force`` it does."""
    names = [f"p{number}" for number in range(30)]
    upload(pypi, *(f"{name} 1.0: {other}" for name, other in zip(names, [*names[1:], names[0]], strict=True)))
    choose(site, names[0])
    async with site.running() as running:
        await running.sync()
        stored = running.mirror.catalog.closures.get()
        pypi.log.forget()
        run = await running.sync()

        assert (run.state, run.counts.projects_changed) == (RunState.SUCCEEDED, 0)
        assert sorted(pypi.log.paths()) == sorted(f"/simple/{name}/" for name in names)
        assert running.mirror.catalog.closures.get() == stored
        await asyncio.sleep(1.1)  # the stored time has whole seconds
        await running.sync(force=True)
        assert running.mirror.catalog.closures.get() != stored


async def test_resolution_forgets_requirements_that_nothing_uses(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """What no resolution has read for 180 days is deleted, so that the catalog does not grow for ever."""
    upload(pypi, "app 1.0: lib", "lib 1.0")
    choose(site, "app")
    unused, used = metadata_key(Sha256("0" * 64)), metadata_key(Sha256("1" * 64))
    now = int(time.time())
    async with site.running() as running:
        lines = running.mirror.catalog.requirement_lines
        lines.put({unused: RequirementLines(("lib",))}, now=now - 181 * 86_400)
        lines.put({used: RequirementLines(("lib",))}, now=now - 179 * 86_400)
        await running.sync()
        assert lines.get([unused, used], now=None).keys() == {used}


async def test_group_that_conflicts_is_incomplete(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """Two lines that can be installed alone and not together are reported for their group, in the solver's words."""
    upload(pypi, "a 1.0: lib<2", "b 1.0: lib>=2", "lib 1.0", "lib 2.0")
    choose(site, "a", "b")
    assert (await site.sync()).state is RunState.SUCCEEDED
    choose(site, "a", "b", more='[dependencies]\ngroups = { web = ["a", "b"] }\n')
    run = await site.sync()

    assert run.state is RunState.INCOMPLETE
    (failure,) = run.failures
    assert "group web: a and b cannot be installed together" in failure.reason
    assert "lib<2" in failure.reason
    assert site.pages() == ["a", "b", "lib"]


async def test_latest_keeps_two_releases_of_a_dependency(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """With ``[dependencies] latest = 2`` the newest two releases are mirrored that a requirement admits."""
    upload(pypi, "app 1.0: lib<4", "lib 1.0", "lib 2.0", "lib 3.0", "lib 4.0")
    choose(site, "app", more="[dependencies]\nlatest = 2\n")
    await site.sync()

    assert site.filenames("lib") == {"lib-2.0-py3-none-any.whl", "lib-3.0-py3-none-any.whl"}


async def test_whole_index_resolves_nothing(site: Site, pypi: fakepypi.FakePyPI) -> None:
    """A mirror of the whole index follows no requirements."""
    upload(pypi, "app 1.0: lib, nowhere", "lib 1.0")
    site.everything()
    async with site.running() as running:
        run = await running.sync()
        assert running.mirror.catalog.closures.get() is None

    assert run.state is RunState.SUCCEEDED
    assert "/simple/nowhere/" not in pypi.log.paths()
