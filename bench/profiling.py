"""Profiling: py-spy on all processes of a run, as stacks and as a list of functions."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.measure import Command

_PY_SPY = "/opt/driver/bin/py-spy"
_RATE = 200  # samples a second: more would slow the program down
_OURS = "(mirror_syncer/"  # with what it called, every other function is asyncio's and says nothing


def profiled(command: Command, *, stacks: Path) -> Command:
    """Return the command under py-spy, which writes collapsed stacks for flame graphs."""
    record = ["record", "--subprocesses", "--function", "--rate", str(_RATE), "--format", "raw"]
    return replace(command, arguments=[_PY_SPY, *record, "--output", str(stacks), "--", *command.arguments])


def hottest(stacks: Path, *, count: int = 25) -> str:
    """Return the most sampled functions, by their own time and by their total time."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for line in stacks.read_text(encoding="utf-8").splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = [frame for frame in stack.split(";") if not frame.startswith("process ")]
        own[frames[-1] if frames else "?"] += int(samples)
        inclusive.update(dict.fromkeys([frame for frame in frames if _OURS in frame], int(samples)))
    lines = []
    for title, counter in (("by itself", own), ("with what it called", inclusive)):
        lines.append(f"{title}:")
        lines += [f"{samples / own.total():7.1%}  {frame}" for frame, samples in counter.most_common(count)]
    return "\n".join(lines) + "\n"
