"""The cost of a command: wall-clock time, processor time, and the memory of all its processes."""

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
    """A command to measure."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a command."""

    wall: float
    user: float
    system: float
    """Processor seconds of all processes, in user mode and in the kernel."""
    rss: int
    """The peak memory of the process tree in bytes; shared pages count for each process."""


def measure(command: Command, *, limit_seconds: float) -> Cost:
    """
    Run a command to its end.

    Raises:
        RuntimeError: it failed or exceeded its time limit; the message has its last lines.
    """
    os.sync()  # so that this run does not pay for dirty pages of the previous one
    os.sync()  # so that this run does not pay for dirty pages of the previous one
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
    """Start a command in its own session, with its output in a log."""
    with command.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - constant arguments
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
    """A sampler of a process and its descendants, twenty times a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._ended = threading.Event()
        self._seen: list[tuple[float, int]] = []

    @property
    def peak(self) -> int:
        """The peak of their resident memory, in bytes."""
        return self.peak_between(0, math.inf)

    def peak_between(self, begin: float, end: float) -> int:
        """Return the peak between two Unix times."""
        return max((size for moment, size in self._seen if begin <= moment <= end), default=0)

    def run(self) -> None:
        """Sample until stopped."""
        while not self._ended.wait(_SAMPLE_SECONDS):
            self._seen.append((time.time(), sum(map(_resident, _tree(self._root)))))

    def stop(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self.join()


def processor_seconds(root: int) -> float:
    """Return the processor seconds of a process and its descendants, in user mode and in the kernel."""
    return sum(map(_used, _tree(root)))


def _tree(root: int) -> Iterator[int]:
    yield root
    for children in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:  # it has exited meanwhile
            continue
        for child in found:
            yield from _tree(int(child))


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):  # it has exited meanwhile
        return 0


def _used(process: int) -> float:
    try:
        # proc(5): utime, stime and those of exited children are the fields 14 to 17. The second field is a name in
        # brackets, which may contain blanks.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has exited meanwhile
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
