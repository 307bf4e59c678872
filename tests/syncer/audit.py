"""What this process changes in the file system, as Python's audit hook reports it (PEP 578)."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# How many of an event's arguments are paths. libcurl and SQLite write in C, to paths that we pass to them.
_PATHS = {
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
    "sqlite3.connect": 1,
}
_STARTS = frozenset({"os.exec", "os.fork", "os.posix_spawn", "os.system", "subprocess.Popen"})
_listeners: list[set[str]] = []


@contextmanager
def touched() -> Iterator[set[str]]:
    """Collect the paths that the block writes, creates, moves or removes, and the programs that it starts."""
    _install()
    paths: set[str] = set()
    _listeners.append(paths)
    try:
        yield paths
    finally:
        _listeners.remove(paths)


@cache  # a hook stays until the process ends
def _install() -> None:
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if not _listeners:
        return
    if event == "open":
        path, mode, flags = arguments
        writes = isinstance(flags, int) and flags & _WRITES
        wanted = [path] if writes or (isinstance(mode, str) and set(mode) & set("wax+")) else []
    elif event in _STARTS:
        wanted = [f"{event}: {arguments[0]}"]
    else:
        wanted = list(arguments[: _PATHS.get(event, 0)])
    named = {os.fsdecode(path) for path in wanted if isinstance(path, (str, bytes, Path))}
    for paths in _listeners:
        paths.update(path for path in named if "__pycache__" not in path)
