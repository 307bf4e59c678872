"""Lock files on the disk: read with a bound, only below the directory of ``mirror.toml``, and stamped."""

import os
import stat
from pathlib import Path

from mirror_syncer.config.locks.problem import WRONG_FILE, LockError

MAX_BYTES = 64 * 2**20

Stamp = tuple[int, ...]
"""What changes when a file does: times, size and inode, or the number of the error."""


class LockDirectory:
    """The directory of ``mirror.toml``, in which all locks lie."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self, file: str) -> Stamp:
        """Return a file's stamp."""
        try:
            found = (self.path / file).stat()
        except OSError as error:
            return (error.errno or -1,)
        # ctime as well: a copy may keep the old mtime, and chmod changes nothing else.
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev

    def read(self, file: str) -> bytes:
        """
        Return a file's content.

        Raises:
            LockError: it cannot be read, is too large, is no regular file, or lies outside the directory.
        """
        try:
            real = (self.path / file).resolve(strict=True)
            if not real.is_relative_to(self.path.resolve()):
                message = "is a symlink out of the directory of mirror.toml, which is not read; copy the file there"
                raise LockError(file, message)
            # Neither a FIFO nor a device may block the syncer.
            handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as opened:
                _check(file, os.fstat(opened.fileno()))
                content = opened.read(MAX_BYTES + 1)
        except PermissionError as error:
            message = f"cannot be read by user {os.getuid()} ({error.strerror}); on the host: chmod o+r {file}"
            raise LockError(file, message) from error
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symlinks
            reason = (getattr(error, "strerror", None) or "a loop of symlinks").lower()
            raise LockError(file, f"cannot be read ({reason}); copy it again, or remove it") from error
        if len(content) > MAX_BYTES:
            raise LockError(file, _TOO_LARGE)
        return content


_TOO_LARGE = f"has more than {MAX_BYTES // 2**20} MiB; {WRONG_FILE}"


def _check(file: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise LockError(file, f"is {kind}; put the lock in its place, or narrow the pattern in [dependencies] locks")
    if found.st_size > MAX_BYTES:
        raise LockError(file, _TOO_LARGE)
