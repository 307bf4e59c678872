"""What a command costs: wall clock, processor, and the memory of all its processes together."""

import math
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
_TICKS = os.sysconf("SC_CLK_TCK")


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
    os.sync()  # what the run before left dirty is not billed to this one
    began = time.monotonic()
    process = start(command)
    watch = Watch(process.pid)
    deadline = threading.Timer(limit_seconds, os.killpg, (process.pid, signal.SIGKILL))
    deadline.start()
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    deadline.cancel()
    watch.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = f"{' '.join(command.arguments)} ended with {process.returncode} after {wall:.1f} s"
        raise RuntimeError(f"{said}:\n{last_words(command)}")
    return Cost(wall, usage.ru_utime, usage.ru_stime, watch.peak)


def start(command: Command) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own, all that it says going to its log."""
    with command.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own arguments
            command.arguments,
            env={"PATH": os.environ["PATH"], "HOME": "/tmp", "LANG": "C.UTF-8", **command.environment},  # noqa: S108
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=command.log.parent,
            start_new_session=True,
        )


def last_words(command: Command) -> str:
    """Return the end of a command's log."""
    return "\n".join(command.log.read_text(errors="replace").splitlines()[-15:])


class Watch(threading.Thread):
    """Looks at a process and its descendants, twenty times a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._ended = threading.Event()
        self._seen: list[tuple[float, int]] = []

    @property
    def peak(self) -> int:
        """The highest sum seen of their resident memory, in bytes."""
        return self.peak_between(0, math.inf)

    def peak_between(self, begin: float, end: float) -> int:
        """Return the highest sum seen between two times, in seconds since the epoch."""
        return max((size for moment, size in self._seen if begin <= moment <= end), default=0)

    def run(self) -> None:
        """Look until stopped."""
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._seen.append((time.time(), sum(map(_resident, _tree(self._root)))))

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()


def processor_seconds(root: int) -> float:
    """Return what a process and its descendants have used so far, in the kernel and outside."""
    return sum(map(_used, _tree(root)))


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


def _used(process: int) -> float:
    try:
        # proc(5): utime, stime, and those of children that have ended, are the 14th to 17th. The second is a name in
        # brackets, which may hold blanks.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended since
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
