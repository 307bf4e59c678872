"""
Python imports this in the observed processes, since PYTHONPATH leads here: the product itself is unchanged.

It records the number of the event loop's tasks once a second, and shortens the re-check's week.
"""

import asyncio
import contextvars
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_run = asyncio.Runner.run


async def _count(path: Path) -> None:
    while True:
        path.write_text(str(len(asyncio.all_tasks()) - 1))  # noqa: ASYNC240 - 20 µs; and without this task
        await asyncio.sleep(1)


async def _observed(main: Coroutine[Any, Any, T]) -> T:
    if recheck := sys.modules.get("mirror_syncer.runs.sync.recheck"):
        vars(recheck).update(EVERY_SECONDS=int(os.environ["SOAK_RECHECK_SECONDS"]), PACE_SECONDS=0.02)
    counting = asyncio.create_task(_count(Path(os.environ["SOAK_TASKS"], str(os.getpid()))))
    try:
        return await main
    finally:
        counting.cancel()


def _run_observed(
    self: asyncio.Runner, coro: Coroutine[Any, Any, T], *, context: contextvars.Context | None = None
) -> T:
    return _run(self, _observed(coro), context=context)


asyncio.Runner.run = _run_observed  # type: ignore[method-assign]
