"""
``mirror-syncer`` in a process that dies by SIGKILL at a chosen step.

A step is what changes the disk: a name that comes or goes, a file opened to be written, a transaction that is
committed. The product knows nothing of it: Python's audit events tell of the former, SQLAlchemy's of the latter, each
just before it happens. So to die at every step in turn is to leave every state that there is between two of them.

Processes are forked from a warm one, since to import everything takes a second.

A process can also stop at every step instead, while the warm one copies what is on the disk. A process that stops and
one that is killed leave the same disk, so each copy is what a kill at that step leaves, and one life makes them all.
"""

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
from typing import Any

import sqlalchemy as sa

from mirror_syncer.commands import adoption, follow  # noqa: F401 - adoption is imported for the children's sake
from mirror_syncer.commands.cli import main
from mirror_syncer.service.assembly import open_mirror
from syncer.site import IMPATIENT, STALE_WAITS

_CHANGES = frozenset({"os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_MANY = re.compile(r"(?<=packages/)[0-9a-f]{2}$|(?<=^database ).*|(?<= )/state/orphans/.*|(?<= )[0-9a-f]{2}\.[a-z]+$")
_READS = ("SELECT", "PRAGMA")
_COMMITTED_AT_ONCE = ("CREATE", "ALTER", "DROP")


@dataclass(frozen=True)
class Fate:
    """
    When, and who.

    Attributes:
        step: before which; None: at none.
        at: before the first one that is called so.
        seconds: after how many; None: never.
        worker: the syncer's first worker process dies at that step or, where none is up yet, at a later one.
        copies: live on, but stop at every step until a copy of the disk is in this directory, and make one at the end.
    """

    step: int | None = None
    at: str | None = None
    seconds: float | None = None
    worker: bool = False
    copies: str | None = None

    def __str__(self) -> str:
        return f"step{self.step}" if self.step else f"{self.seconds:.3f}s" if self.seconds else self.at or "end"


LIVES = Fate()


@dataclass(frozen=True)
class Life:
    """How a process ended, and what it was about to do at each step, the last one included."""

    code: int
    steps: list[str]

    @property
    def killed(self) -> bool:
        """Whether it died before its end."""
        return self.code == -signal.SIGKILL


class Nursery:
    """A warm process, from which others are forked, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def live(self, *argv: str, environment: dict[str, str], fate: Fate = LIVES) -> Life:
        """Run a command to its end, or to its death. Blocks: a server in an event loop needs that in a thread."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        trail = Path(environment["MIRROR_STATE"]).with_name("trail")
        order = {"argv": argv, "environment": environment, "fate": vars(fate), "trail": str(trail)}
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        # An earlier test may have broken off before its process ended.
        while (answer := json.loads(self._process.stdout.readline()))["trail"] != str(trail):
            pass
        return Life(answer["code"], trail.read_text().splitlines())


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Warm a process up; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "syncer.dying"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Nursery(process)
        process.communicate()


class Steps:
    """
    Counts steps, and dies.

    Args:
        root: what is below it counts.
        trail: where each is noted.
    """

    def __init__(self, root: str, *, fate: Fate, trail: int) -> None:
        self._root = root
        self._fate = fate
        self._trail = trail
        self._count = 0
        self._before = ""
        self._guard = threading.RLock()

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Take an audit event (PEP 578)."""
        if event in _CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & _WRITING):
            path = os.fsdecode(args[0]) if isinstance(args[0], (str, bytes, os.PathLike)) else ""
            # Relative to a descriptor: shutil.rmtree at work, and nobody else.
            ours = path.startswith(self._root) or (path and not path.startswith("/"))
            if ours and (not path.startswith("/") or event == "open" or _changes(event, path)):
                self.step(f"{event} {path.removeprefix(self._root)}")

    def execute(self, connection: sa.Connection, _cursor: object, statement: str, *_: object) -> None:
        """Take a statement: one that writes makes its transaction's end a step."""
        if not statement.lstrip().startswith(_READS):
            connection.info["writes"] = statement.split()[:3]
        if statement.lstrip().startswith(_COMMITTED_AT_ONCE):
            self.step(f"database {' '.join(statement.split()[:3])}")

    def commit(self, connection: sa.Connection) -> None:
        """Take a transaction's end."""
        if writes := connection.info.pop("writes", None):
            self.step(f"commit {' '.join(writes)}")

    def step(self, what: str) -> None:
        """Count a step; several in a row that differ in nothing are one."""
        with self._guard:
            if _kind(what) == self._before:
                return
            self._before = _kind(what)
            self._count += 1
            os.write(self._trail, f"{what}\n".encode())
            if self._fate.step is not None and self._count >= self._fate.step:
                self._die()
            if self._fate.at is not None and self._fate.at in what:
                self._die()
            if self._fate.copies is not None:
                # Sent to this thread, the signal stops it here, and all others with it.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    def die_after(self, seconds: float) -> None:
        """Die then, whatever is under way."""
        time.sleep(seconds)
        self._die()

    def _die(self) -> None:
        if not self._fate.worker:
            os.kill(os.getpid(), signal.SIGKILL)
        elif workers := _children():
            os.kill(workers[0], signal.SIGKILL)
            self._fate = LIVES


def _kind(what: str) -> str:
    """Return what steps in a row have in common that differ in nothing: directories, tables, an index's partitions."""
    return _MANY.sub("*", what)


def _changes(event: str, path: str) -> bool:
    """Return whether a step changes anything: many remove what is not there, or make what is."""
    return os.path.lexists(path) != (event in ("os.mkdir", "os.symlink"))


def _children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]


def _live(argv: list[str], *, environment: dict[str, str], fate: Fate, trail: str) -> None:
    """Be the syncer, impatient as tests are; never return."""
    os.environ.clear()
    os.environ.update(environment)
    with Path(f"{trail}.log").open("ab", buffering=0) as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    hurry = partial(open_mirror, limits=IMPATIENT, stale_waits=STALE_WAITS)
    vars(follow).update(_LOOK_SECONDS=0.01, open_mirror=hurry)
    steps = Steps(
        str(Path(trail).parent), fate=fate, trail=os.open(trail, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
    )
    if fate.seconds is not None:
        threading.Thread(target=steps.die_after, args=(fate.seconds,), daemon=True).start()
    sys.addaudithook(steps.audit)
    sa.event.listen(sa.Engine, "before_cursor_execute", steps.execute)
    sa.event.listen(sa.Engine, "commit", steps.commit)
    sys.argv = ["mirror-syncer", *argv]
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def _warm() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _live(
                order["argv"],
                environment=order["environment"],
                fate=Fate(**order["fate"]),
                trail=order["trail"],
            )
        code = _end(child, disk=Path(order["trail"]).parent, copies=order["fate"]["copies"])
        sys.stdout.write(f"{json.dumps({'code': code, 'trail': order['trail']})}\n")
        sys.stdout.flush()


def _end(child: int, *, disk: Path, copies: str | None) -> int:
    """Return how a process ended; copy its disk whenever it stops, and at its end."""
    for number in itertools.count(1):
        _, status = os.waitpid(child, os.WUNTRACED)
        if copies is not None:
            shutil.copytree(disk, Path(copies) / str(number))
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.kill(child, signal.SIGCONT)
    raise AssertionError  # numbers do not end


if __name__ == "__main__":
    _warm()
