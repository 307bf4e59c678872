"""
``mirror-syncer`` in a process that SIGKILL ends at a chosen step.

A step changes the disk: a name appears or disappears, a file is opened for writing, a transaction is committed.
Python's audit events and SQLAlchemy's events report each step just before it happens, so the product needs no change. A
kill at every step in turn leaves every state that lies between two steps.

Processes are forked from a fork server, which has imported everything, since that takes a second, and has run once.

A process can also stop at every step while the fork server copies the disk. Each copy equals the disk that a kill at
that step leaves, so one process makes all copies.
"""

import gc
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from mirror_syncer.commands import adoption, follow  # noqa: F401 - adoption is imported for the children's sake
from mirror_syncer.commands.cli import main
from mirror_syncer.service.assembly import open_mirror
from syncer.site import IMPATIENT, STALE_WAITS, Site

_CHANGES = frozenset({"os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_INTERCHANGEABLE = re.compile(
    r"(?<=packages/)[0-9a-f]{2}$|(?<=^database ).*|(?<= )/state/orphans/.*|(?<= )[0-9a-f]{2}\.[a-z]+$"
)
_READS = ("SELECT", "PRAGMA")
_COMMITTED_AT_ONCE = ("CREATE", "ALTER", "DROP")


@dataclass(frozen=True)
class CrashPoint:
    """
    When, and in which process, a kill happens.

    Attributes:
        step: kill before the step of this number; None: at none.
        at: kill before the first step with this text.
        seconds: kill after this time; None: never.
        worker: kill the first worker process, at that step or, if none has started yet, at a later one.
        copies: kill nothing, but copy the disk to this directory at every step and at the end.
    """

    step: int | None = None
    at: str | None = None
    seconds: float | None = None
    worker: bool = False
    copies: str | None = None

    def __str__(self) -> str:
        return f"step{self.step}" if self.step else f"{self.seconds:.3f}s" if self.seconds else self.at or "end"


NO_CRASH = CrashPoint()


@dataclass(frozen=True)
class ProcessResult:
    """How a process ended, and its steps, the last one included."""

    code: int
    steps: list[str]

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


class ForkServer:
    """A process that has imported everything and forks others, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, *argv: str, environment: dict[str, str], crash_point: CrashPoint = NO_CRASH) -> ProcessResult:
        """Run a command until it ends or is killed. Blocks: a test that serves in an event loop uses a thread."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        step_log = Path(environment["MIRROR_STATE"]).with_name("steps")
        request = {
            "argv": argv,
            "environment": environment,
            "crash_point": vars(crash_point),
            "step_log": str(step_log),
        }
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        # An earlier test may have stopped waiting before its process ended.
        while (answer := json.loads(self._process.stdout.readline()))["step_log"] != str(step_log):
            pass
        return ProcessResult(answer["code"], step_log.read_text().splitlines())


@contextmanager
def start_fork_server() -> Iterator[ForkServer]:
    """Start a fork server; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "syncer.crash_injection"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield ForkServer(process)
        process.communicate()


class StepCounter:
    """
    Counts steps, and kills the process at the crash point.

    Args:
        root: only changes below it count.
        step_log: the file descriptor that each step is written to.
    """

    def __init__(self, root: str, *, crash_point: CrashPoint, step_log: int) -> None:
        self._root = root
        self._crash_point = crash_point
        self._step_log = step_log
        self._count = 0
        self._before = ""
        self._guard = threading.RLock()

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Handle an audit event (PEP 578)."""
        if event in _CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & _WRITING):
            path = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else ""
            # Relative to a descriptor: only shutil.rmtree does so.
            ours = path.startswith(self._root) or (path and not path.startswith("/"))
            if ours and (not path.startswith("/") or event == "open" or _is_change(event, path)):
                self.step(f"{event} {path.removeprefix(self._root)}")

    def execute(self, connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        """Handle a statement: a writing one makes its transaction's end a step."""
        if not statement.lstrip().startswith(_READS):
            connection.info["writes"] = statement.split()[:3]
        if statement.lstrip().startswith(_COMMITTED_AT_ONCE):
            self.step(f"database {' '.join(statement.split()[:3])}")

    def commit(self, connection: sa.Connection) -> None:
        """Handle a transaction's end."""
        if writes := connection.info.pop("writes", None):
            self.step(f"commit {' '.join(writes)}")

    def step(self, what: str) -> None:
        """Count a step; interchangeable steps in a row are one."""
        with self._guard:
            if _group(what) == self._before:
                return
            self._before = _group(what)
            self._count += 1
            os.write(self._step_log, f"{what}\n".encode())
            if self._crash_point.step is not None and self._count >= self._crash_point.step:
                self._kill()
            if self._crash_point.at is not None and self._crash_point.at in what:
                self._kill()
            if self._crash_point.copies is not None:
                # Sent to this thread, the signal stops it here, and all others with it.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    def kill_after(self, seconds: float) -> None:
        """Kill the process after this time."""
        time.sleep(seconds)
        self._kill()

    def _kill(self) -> None:
        if not self._crash_point.worker:
            os.kill(os.getpid(), signal.SIGKILL)
        elif workers := _children():
            os.kill(workers[0], signal.SIGKILL)
            self._crash_point = NO_CRASH


def _group(what: str) -> str:
    """Return the group of a step: steps in a row of one group are interchangeable, such as directories or tables."""
    return _INTERCHANGEABLE.sub("*", what)


def _is_change(event: str, path: str) -> bool:
    """Return whether an event changes anything: many remove a missing file, or create an existing directory."""
    return os.path.lexists(path) != (event in ("os.mkdir", "os.symlink"))


def _children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]


def _run_command(argv: list[str], *, environment: dict[str, str], crash_point: CrashPoint, step_log: str) -> None:
    """Run the syncer; never return."""
    with Path(f"{step_log}.log").open("ab", buffering=0) as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    steps = StepCounter(
        str(Path(step_log).parent),
        crash_point=crash_point,
        step_log=os.open(step_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC),
    )
    if crash_point.seconds is not None:
        threading.Thread(target=steps.kill_after, args=(crash_point.seconds,), daemon=True).start()
    sys.addaudithook(steps.audit)
    sa.event.listen(sa.Engine, "before_cursor_execute", steps.execute)
    sa.event.listen(sa.Engine, "commit", steps.commit)
    code = 1
    try:
        code = _call_main(argv, environment)
    finally:
        os._exit(code)


def _call_main(argv: list[str], environment: dict[str, str]) -> int:
    """Run the syncer with short timeouts, and return its exit code."""
    os.environ.clear()
    os.environ.update(environment)
    open_impatiently = partial(open_mirror, limits=IMPATIENT, stale_waits=STALE_WAITS)
    vars(follow).update(_LOOK_SECONDS=0.01, open_mirror=open_impatiently)
    sys.argv = ["mirror-syncer", *argv]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 1


def _warm_up() -> None:
    """
    Sync once, from an upstream that refuses connections.

    The children inherit what a process compiles and looks up in its first run, which is a quarter of their work.
    """
    answers = os.dup(1)
    with TemporaryDirectory() as directory, Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        site = Site(Path(directory), upstream="http://127.0.0.1:9")
        site.select("six")
        _call_main(["sync"], site.environment())
    os.dup2(answers, 1)
    os.close(answers)
    gc.collect()
    gc.freeze()  # else each child copies all these objects as soon as it collects garbage


def _serve_forks() -> None:
    _warm_up()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run_command(
                request["argv"],
                environment=request["environment"],
                crash_point=CrashPoint(**request["crash_point"]),
                step_log=request["step_log"],
            )
        code = _wait_for_end(child, disk=Path(request["step_log"]).parent, copies=request["crash_point"]["copies"])
        sys.stdout.write(f"{json.dumps({'code': code, 'step_log': request['step_log']})}\n")
        sys.stdout.flush()


def _wait_for_end(child: int, *, disk: Path, copies: str | None) -> int:
    """Return how a process ended; copy its disk whenever it stops, and at its end."""
    for number in itertools.count(1):
        _, status = os.waitpid(child, os.WUNTRACED)
        if copies is not None:
            shutil.copytree(disk, Path(copies) / str(number))
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.kill(child, signal.SIGCONT)
    raise AssertionError  # count() never ends


if __name__ == "__main__":
    _serve_forks()
