"""A file system in a file, whose power can be cut. Runs as root, in the container."""

import contextlib
import fcntl
import gc
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
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "exfat": ("mkfs.exfat", "-q"),
    "ntfs": ("mkntfs", "--force", "--quick", "--quiet"),
}
_MOUNT = {"exfat": "mount.exfat-fuse", "ntfs": "lowntfs-3g"}  # through FUSE, for kernels without these file systems
# ext4's heuristics write a file's data before the rename that shows it. Nothing guarantees that, so they are off.
_OPTIONS = {"ext4": "noauto_da_alloc", "xfs": "rw", "btrfs": "rw", "exfat": "rw", "ntfs": "ignore_case"}
_SIZE = 320 * 2**20  # XFS's minimum


class Disk:
    """
    A mounted file system.

    Args:
        directory: the mount point; the file that holds it lies beside.
        options: further options of mkfs.
    """

    def __init__(self, directory: Path, *, file_system: str, options: Sequence[str] = (), size: int = _SIZE) -> None:
        self.directory = directory
        self.image = directory.with_suffix(".img")
        self._mount = _MOUNT.get(file_system, "mount")
        self._options = _OPTIONS[file_system]
        directory.mkdir()
        with self.image.open("wb") as image:
            image.truncate(size)
        subprocess.run([*_MAKE[file_system], *options, self.image], check=True)
        self.mount()

    def mount(self, *options: str) -> None:
        """Mount it as a boot does: the kernel replays its journal first."""
        find = subprocess.run(["losetup", "--find", "--show", self.image], check=True, capture_output=True, text=True)
        device = find.stdout.strip()
        try:
            chosen = ",".join((self._options, *options))
            subprocess.run([self._mount, "-o", chosen, device, self.directory], check=True, stdout=subprocess.DEVNULL)
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)  # as soon as it is unmounted

    def unmount(self) -> None:
        """
        Unmount it, once the last process has closed it.

        Raises:
            AssertionError: a process still had it open after a minute. It is detached then: a FUSE file system that is
                mounted when its container ends never unmounts.
        """
        deadline = time.monotonic() + 60
        while (done := subprocess.run(["umount", self.directory], capture_output=True, check=False)).returncode:
            if time.monotonic() > deadline:
                users = _users(self.directory)
                subprocess.run(["umount", "--lazy", self.directory], check=True)
                raise AssertionError(f"{done.stderr.decode()}{users}")
            # A connection that a thread still used when this process closed the catalog is open until it is collected.
            gc.collect()
            time.sleep(0.02)


def _users(directory: Path) -> list[str]:
    """Return what processes have open there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for link in (process / "cwd", *process.glob("fd/*"), *process.glob("map_files/*")):
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(there := link.readlink()).startswith(str(directory)):
                    found.append(f"{link}: {there}")
    return found


def cut(directory: Path, *, log_flushed: bool = False) -> None:
    """
    Cut the power of a directory's disk: what was not synced is lost.

    Args:
        log_flushed: the cut comes just after some other program's fsync: the journal with all names is on disk, and
            the content of files that were not synced is not. If false, neither is on disk.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _LOG_FLUSHED if log_flushed else _LOG_LOST))
    finally:
        os.close(descriptor)
