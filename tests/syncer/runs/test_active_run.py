"""A run in memory: its progress, its report, and the requests that merge into it."""

import asyncio
from datetime import UTC, datetime

import pytest

from mirror_contract import Failure, Run, RunKind, RunRequest, RunState, Trigger
from mirror_syncer.runs import ActiveRun


def active_run(**request: object) -> ActiveRun:
    """Return a running sync."""
    return ActiveRun(
        Run(
            id="20261122T161233905-3fa9c0",
            request=RunRequest.model_validate({"kind": RunKind.SYNC, **request}),
            trigger=Trigger.API,
            state=RunState.RUNNING,
            created_at=datetime.now(UTC),
        )
    )


async def test_wait_for_tasks_ends_at_its_limit() -> None:
    """A wait for tasks ends as soon as no more than the requested number are left."""
    progress = active_run().progress
    progress.add_tasks(3)
    one_left, none_left = (asyncio.create_task(progress.wait_for_tasks(most)) for most in (1, 0))
    ended = []
    for _ in range(3):
        progress.finish_tasks()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ended.append((one_left.done(), none_left.done()))

    assert ended == [(False, False), (True, False), (True, True)]


async def test_wait_for_tasks_of_a_cancelled_run_ends() -> None:
    """A wait to queue more tasks ends when the run is cancelled, even if tasks are left."""
    run = active_run()
    run.progress.add_tasks(2)
    waiting = asyncio.create_task(run.progress.wait_for_tasks(unless=lambda: run.is_stopping))
    await asyncio.sleep(0)
    run.cancel(grace_seconds=5)
    run.progress.finish_tasks(0)

    async with asyncio.timeout(5):
        await waiting


def test_report_with_many_failures_counts_all() -> None:
    """The document keeps the first hundred failures, and the report counts all of them."""
    run = active_run()
    run.report.add(*(Failure(project=f"project-{number}", reason="no answer") for number in range(150)))

    assert (len(run.document.failures), run.report.failure_count) == (100, 150)
    assert run.document.failures[0].project == "project-0"


@pytest.mark.parametrize(
    ("options", "can_reread_list", "merged"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"projects": ("six",)}, True, False),
        ({"force": True, "confirm": True}, True, False),
        ({"allow_removals": 7}, True, True),
    ],
)
def test_whole_sync_request_merges_into_a_running_one(
    *, options: dict[str, object], can_reread_list: bool, merged: bool
) -> None:
    """A running sync of the whole index serves a later request for one, unless that needs a run of its own."""
    run = active_run()
    run.sync.can_reread_list = can_reread_list

    assert run.merge(RunRequest.model_validate({"kind": RunKind.SYNC, **options})) is merged
    assert run.sync.reread_list is merged
    assert run.sync.allow_removals == (options.get("allow_removals") if merged else None)
