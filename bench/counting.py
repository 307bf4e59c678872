"""
``python -m bench.counting LOGS STORE NUMBER OUTPUT``: counts so many lines of an access log as control does.

They are there, or come meanwhile; it tells how long it takes until all are counted.

It runs under the Python that has control, in a process that does nothing else but look how late its loop is, which
whoever asks control for something meanwhile waits for.
"""

import asyncio
import contextlib
import json
import sqlite3
import sys
import time
from datetime import timedelta
from pathlib import Path

from mirror_control.downloads.access_log import AccessLog
from mirror_control.downloads.intake import Intake
from mirror_control.server.process import shorten_loop_delays

_TICK_SECONDS = 0.001


async def count(logs: Path, store: Path, number: int) -> dict[str, float]:
    """Return what it took until the last line was counted, and how late the loop was meanwhile."""
    intake = Intake(AccessLog(logs), store, kept=timedelta(days=36_500))
    shorten_loop_delays()
    lags = []
    began, used = time.monotonic(), time.process_time()
    task = asyncio.create_task(intake.count_forever())
    while intake.metrics.requests.total() < number:
        before = time.monotonic()
        await asyncio.sleep(_TICK_SECONDS)
        lags.append(time.monotonic() - before - _TICK_SECONDS)
    seconds, used = time.monotonic() - began, time.process_time() - used
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    lags.sort()
    counts = "SELECT (SELECT total(count) FROM download) + (SELECT total(count) FROM miss)"
    with contextlib.closing(sqlite3.connect(store)) as connection:
        ((counted,),) = connection.execute(counts)
    return {
        "seconds": seconds,
        "processor": used,
        "counted": counted,
        "lag": lags[int(len(lags) * 0.99)],
        "longest": lags[-1],
    }


if __name__ == "__main__":
    told = asyncio.run(count(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
    Path(sys.argv[4]).write_text(json.dumps(told))
