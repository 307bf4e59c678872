"""What a command costs: wall clock, processor, and the memory of all its processes together."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLE_SECONDS = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Command:
    """What is measured."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took."""

    wall: float
    user: float
    system: float
    """Processor seconds of all processes: in the programs, and in the kernel for them."""
    rss: int
    """The highest sum seen over the tree of processes, in bytes; pages that they share count in each."""


def measure(command: Command, *, limit_seconds: float) -> Cost:
    """
    Run a command to its end.

    Raises:
        RuntimeError: it failed, or took longer than its limit; its last lines are told.
    """
    os.sync()  # what the run before left dirty is not billed to this one
    with command.log.open("ab") as log:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            command.arguments,
            env={"PATH": os.environ["PATH"], "HOME": "/tmp", "LANG": "C.UTF-8", **command.environment},  # noqa: S108
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=command.log.parent,
            start_new_session=True,
        )
        watch = _Watch(process.pid)
        deadline = threading.Timer(limit_seconds, os.killpg, (process.pid, signal.SIGKILL))
        deadline.start()
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        deadline.cancel()
        watch.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = "\n".join(command.log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command.arguments)} ended with {process.returncode} after {wall:.1f} s:\n{last}")
    return Cost(wall, usage.ru_utime, usage.ru_stime, watch.peak)


class _Watch(threading.Thread):
    """Looks at a process and its descendants, twenty times a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._ended = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(map(_resident, _tree(self._root))))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _tree(root: int) -> Iterator[int]:
    yield root
    for children in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # it has ended since
            continue
        for child in found:
            yield from _tree(int(child))


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):  # it has ended since
        return 0
