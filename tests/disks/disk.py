"""A disk of one's own: a file system in a file, whose power can be cut. Runs as root, in the container."""

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN: ext4 and XFS answer every further call with EIO
_LOG_FLUSHED, _LOG_LOST = 1, 2
_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
}
# ext4's heuristics write a file's data before the rename that shows it. Nobody promises that, so they are off.
_OPTIONS = {"ext4": "loop,noauto_da_alloc", "xfs": "loop"}
_SIZE = 320 * 2**20  # XFS's smallest


class Disk:
    """
    A file system, mounted.

    Args:
        directory: where it is mounted; the file that it is made of lies beside.
        options: more of mkfs's.
    """

    def __init__(self, directory: Path, *, file_system: str, options: Sequence[str] = (), size: int = _SIZE) -> None:
        self.directory = directory
        self._image = directory.with_suffix(".img")
        self._options = _OPTIONS[file_system]
        directory.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size)
        subprocess.run([*_MAKE[file_system], *options, self._image], check=True)
        self.mount()

    def mount(self, *options: str) -> None:
        """Mount it, as a boot would: what its journal holds is done first."""
        subprocess.run(
            ["mount", "-o", ",".join((self._options, *options)), self._image, self.directory],
            check=True,
        )

    def unmount(self) -> None:
        """Unmount it, once the last process has let go of it."""
        deadline = time.monotonic() + 10
        while (done := subprocess.run(["umount", self.directory], capture_output=True, check=False)).returncode:
            assert time.monotonic() < deadline, done.stderr.decode()
            time.sleep(0.02)


def cut(directory: Path, *, log_flushed: bool = False) -> None:
    """
    Cut the power of the disk that a directory is on: what was not synced is lost.

    Args:
        log_flushed: the cut comes just after some other program's fsync: the journal with all names is on disk, and
            the content of files that were not synced is not. Without, neither is.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _LOG_FLUSHED if log_flushed else _LOG_LOST))
    finally:
        os.close(descriptor)
