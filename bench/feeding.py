"""
``python -m bench.feeding LINES LOGS RATE``: writes an access log as nginx does, RATE lines a second.

It has its own process, so that it takes no time from the counting one.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

_TICK_SECONDS = 0.005


def feed(lines: list[bytes], logs: Path, *, rate: int) -> None:
    """Append the lines to the current minute's file at the given rate."""
    with (logs / f"access-{datetime.now(UTC):%Y-%m-%dT%H%M}.jsonl").open("ab", buffering=0) as file:
        began, written = time.monotonic(), 0
        while written < len(lines):
            due = min(len(lines), int((time.monotonic() - began) * rate))
            file.write(b"".join(lines[written:due]))
            written = due
            time.sleep(_TICK_SECONDS)


if __name__ == "__main__":
    feed(Path(sys.argv[1]).read_bytes().splitlines(keepends=True), Path(sys.argv[2]), rate=int(sys.argv[3]))
