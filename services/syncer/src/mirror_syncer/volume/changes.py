"""
The list of changes for edges: ``pypi/.changes``, which nginx serves as ``/changes.txt``.

An edge keeps a copy of a file for 30 days, because no URL ever changes its bytes. It reads this list twice a minute and
asks the mirror again for whatever the list names: files that were withdrawn, removed, or held after their publication,
and pages that were replaced or removed. A line too many costs an edge a request, a missing one is served for too long.
So a file is listed before it leaves. The format::

    pypi-mirror-changes 1 <16 hexadecimal digits, new whenever lines were dropped>
    <seconds since the epoch> packages/<2>/<file>
    <seconds since the epoch> simple/<project>
"""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from mirror_syncer.volume.disk import explain_disk_errors

log = structlog.get_logger()

NAME = ".changes"
STAGED_NAME = "changes"
LOCK_NAME = ".changes.lock"
FILE_SECONDS = 30 * 86_400
"""An edge keeps in mind for twice as long what the list named, and deletes its cache after a longer absence."""
PAGE_SECONDS = 3_600
"""Longer than an edge believes in a page."""
MAX_BYTES = 32 << 20
"""Some 400,000 lines. Of a longer list the newest half stays; edges read up to 64 MiB."""

_MODE = 0o644
_MIN_TRIMMED_BYTES = 4_096
_DROPPED = 1_000  # lines at a time
_APPENDING = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Changes:
    """
    The list of a tree. Worker processes add lines, too, so each call takes the lock and opens the list anew.

    Args:
        base: the directory of the list.
        staging: a private directory of the same file system.
    """

    def __init__(self, base: Path, staging: Path) -> None:
        self._path = str(base / NAME)
        self._staged = str(staging / STAGED_NAME)
        # Not the list itself: everyone who can read a file can lock it, and hold each change up.
        self._lock = str(base / LOCK_NAME)

    @explain_disk_errors()
    def add(self, paths: Iterable[str]) -> None:
        """Add a line for each path below ``web``; a name that no URL can have gets none."""
        lines = format_lines(paths, now=int(time.time()))
        with self._locked() as file:
            if lines:
                _append(file, lines)
            if os.fstat(file).st_size > MAX_BYTES:
                self._trim(file)

    @explain_disk_errors()
    def trim(self) -> None:
        """Drop outdated lines if they are the greater part; replace a damaged list."""
        with self._locked() as file:
            self._trim(file)

    def _trim(self, file: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        body = b"".join(iter(lambda: os.read(file, 1 << 20), b""))
        lines = body.partition(b"\n")[2].splitlines()
        current = list(current_lines(lines))
        is_short = len(body) < _MIN_TRIMMED_BYTES or 2 * len(current) > len(lines)
        if is_list(body) and is_short and len(body) <= MAX_BYTES:
            return
        if (size := _size(current)) > MAX_BYTES // 2:
            while size > MAX_BYTES // 2:
                size -= _size(current[:_DROPPED])
                del current[:_DROPPED]
            log.warning("the list of changes for edges is too long", remedy="empty the caches of the edges")
        staged = os.open(self._staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        try:
            os.fchmod(staged, _MODE)
            with os.fdopen(staged, "wb", closefd=False) as output:
                output.write(new_head() + b"".join(line + b"\n" for line in current))
            os.fsync(staged)
        finally:
            os.close(staged)
        os.rename(self._staged, self._path)  # noqa: PTH104 - text, as in Tree

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Lock the list against other processes, open it, and create it if necessary."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self._open()
            try:
                yield file
            finally:
                os.close(file)
        finally:
            os.close(lock)

    def _open(self) -> int:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(self._path).st_mode):
                os.unlink(self._path)  # noqa: PTH108 - planted: a symlink could lead anywhere, a pipe would block
        file = os.open(self._path, _APPENDING, _MODE)
        try:
            if os.fstat(file).st_size == 0:
                os.fchmod(file, _MODE)
                _append(file, new_head())
        except BaseException:
            os.close(file)
            raise
        return file


def _append(file: int, data: bytes) -> None:
    """Append all of the data or, on a full disk, nothing: half a line would spoil the next one."""
    size = os.fstat(file).st_size
    if (written := os.write(file, data)) != len(data):
        os.ftruncate(file, size)
        raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes: {os.strerror(errno.ENOSPC)}", NAME)


def format_lines(paths: Iterable[str], *, now: int) -> bytes:
    """Return a line for each path below ``web``."""
    # A file name may have any letter but a line break, which nginx refuses, too.
    lines = "".join(f"{now} {path}\n" for path in paths if path.isprintable())
    return lines.encode(errors="surrogateescape")


def is_list(body: bytes) -> bool:
    """Return whether a list is complete; another program, or a full disk, may have damaged it."""
    return body.startswith(b"pypi-mirror-changes 1 ") and body.endswith(b"\n")


def new_head() -> bytes:
    """Return the first line of a new list."""
    return b"pypi-mirror-changes 1 %s\n" % secrets.token_hex(8).encode()


def _size(lines: Iterable[bytes]) -> int:
    return sum(len(line) + 1 for line in lines)


def current_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the last line of each path that is not outdated, oldest first."""
    now = time.time()
    last: dict[bytes, tuple[int, bytes]] = {}
    for line in lines:
        since, _, path = line.partition(b" ")
        if not since.isdigit():
            continue
        last.pop(path, None)
        last[path] = (int(since), line)
    for path, (at, line) in last.items():
        if now - at < (PAGE_SECONDS if path.startswith(b"simple/") else FILE_SECONDS):
            yield line
