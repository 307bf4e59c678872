"""The running service applies changed advisories at once, also after its disk had failed."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import fakepypi
from mirror_contract import Run, Trigger
from mirror_syncer.errors import StateError
from mirror_syncer.service import process
from syncer.osv import record
from syncer.site import Site


@pytest.mark.proves("reliability/blocks")
async def test_failing_catalog_does_not_end_the_watch_of_the_policy(
    site: Site, pypi: fakepypi.FakePyPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An advisory that arrives while the catalog cannot be read is in force once it can, without a scheduled sync."""
    pypi.index.project("six").upload("1.0")
    site.select("six")
    advisories = site.policy.parent / "advisories"
    advisories.mkdir()
    async with site.running() as running:
        await running.sync()
        runs, policy = running.mirror.runs, running.mirror.policy
        monkeypatch.setattr(process, "_WATCH_RETRY_SECONDS", 0.01)
        monkeypatch.setattr(policy, "watch", partial(policy.watch, every=0.01))
        monkeypatch.setattr(runs, "request", failing_once(runs.request))
        applied = asyncio.Event()
        runs.subscribe(lambda run: applied.set() if is_applied(run) else None)
        watching = asyncio.create_task(process.watch_policy(running.mirror))
        malware = record("MAL-2026-1", "six", versions=["1.0"])
        (advisories / "MAL-2026-1.json").write_text(json.dumps(malware))
        async with asyncio.timeout(60):
            await applied.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    assert site.filenames("six") == set()


def failing_once(request: Callable[..., Run]) -> Callable[..., Run]:
    """Return ``Runs.request`` as it is on a disk that fails at the first call."""
    failures = [StateError("the disk of the catalog failed")]

    def fail_or_request(*args: Any, **options: Any) -> Run:
        if failures:
            raise failures.pop()
        return request(*args, **options)

    return fail_or_request


def is_applied(run: Run) -> bool:
    """Return whether a run that applied the policy has ended."""
    return run.trigger is Trigger.POLICY and run.state.ended
