"""
``python -m bench.counting LOGS STORE NUMBER OUTPUT``: counts NUMBER lines of an access log as control does.

The lines exist or arrive meanwhile. The output is the time until all are counted.

It runs with control's Python, in a process that otherwise only measures the delay of its event loop, which a client of
control would notice.
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
    """Return the time until the last line was counted, and the delays of the loop meanwhile."""
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
