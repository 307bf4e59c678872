"""When is what was written safe from a power cut? After ``sync``, and not before."""

import ctypes
import errno
import itertools
import os
from pathlib import Path
from threading import Lock

from mirror_syncer.errors import VolumeError, VolumeFullError

# Their syncfs waits for data and directories of the whole file system, and reports what failed since the last call.
_SYNCFS_FILE_SYSTEMS = frozenset({"ext4", "xfs", "btrfs", "zfs"})
_libc = ctypes.CDLL(None, use_errno=True)  # Python has no os.syncfs


class Durability:
    """
    Makes a tree's writes durable, many at once where the file system can.

    Args:
        root: a directory of the tree; it is held open, so that errors since then are seen.

    Attributes:
        by_group: one ``syncfs`` covers everything. Otherwise each file is synced as it is closed, and ``sync`` the
            directories: slower, and all that NFS, overlay and the like promise.
    """

    def __init__(self, root: Path) -> None:
        self.file_system = _file_system(root)
        self.syncs_file_system = self.file_system in _SYNCFS_FILE_SYSTEMS
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directories: set[str] = set()
        self._guard = Lock()

    def close(self) -> None:
        """Let go of the tree."""
        os.close(self._descriptor)

    def file_written(self, descriptor: int) -> None:
        """Note a file that is complete; to be called before it is closed."""
        if not self.syncs_file_system:
            os.fsync(descriptor)

    def directory_changed(self, directory: Path | str) -> None:
        """Note that a name in a directory came, went or changed."""
        if not self.syncs_file_system:
            with self._guard:
                self._directories.add(str(directory))

    def make_directory(self, directory: Path) -> None:
        """Make a directory and those above it that are missing, and note their names."""
        if not self.syncs_file_system:
            for path in itertools.takewhile(lambda path: not path.exists(), (directory, *directory.parents)):
                self.directory_changed(path.parent)
        directory.mkdir(parents=True, exist_ok=True)

    def sync(self) -> None:
        """
        Return once everything noted so far is durable. Blocks as long as the disk takes: call it in a thread.

        Raises:
            VolumeError: the disk says no. What was written since the last ``sync`` may be lost.
        """
        if self.syncs_file_system:
            if _libc.syncfs(self._descriptor) != 0:
                number = ctypes.get_errno()
                kind = VolumeFullError if number in (errno.ENOSPC, errno.EDQUOT) else VolumeError
                raise kind(
                    f"the tree cannot be made durable ({os.strerror(number)}): look at the disk and the kernel's log"
                )
            return
        with self._guard:
            directories, self._directories = self._directories, set()
        for directory in directories:
            _sync_directory(directory)


def _sync_directory(directory: str) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # removed since: its parent is noted, too
    except OSError as error:
        raise _not_durable(directory, error) from error
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _not_durable(directory, error) from error
    finally:
        os.close(descriptor)


def _not_durable(directory: str, error: OSError) -> VolumeError:
    """Return an error that concerns everybody: what others wrote in the same directory is not durable either."""
    return VolumeError(f"{directory} cannot be made durable ({error.strerror}): look at the disk")


def _file_system(path: Path) -> str:
    """Return the type of the file system that a path is on, by the longest mount point above it."""
    best, kind = "", "unknown"
    target = f"{path.resolve()}/"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return kind
    for line in lines:
        # proc(5): 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        mount, _, rest = line.partition(" - ")
        point = mount.split()[4].replace("\\040", " ").rstrip("/") + "/"
        if target.startswith(point) and len(point) >= len(best):
            best, kind = point, rest.split()[0]
    return kind
