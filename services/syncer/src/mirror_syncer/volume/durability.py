"""Durability of writes: they survive a power cut only after ``sync``."""

import ctypes
import errno
import itertools
import os
from pathlib import Path
from threading import Lock

from mirror_syncer.errors import VolumeError, VolumeFullError

# Their syncfs waits for all data and directories, and reports errors since the last call. A tmpfs has nothing to wait
# for: no sync would save its content from a power cut.
_SYNCFS_FILE_SYSTEMS = frozenset({"ext4", "xfs", "btrfs", "zfs", "tmpfs"})
_libc = ctypes.CDLL(None, use_errno=True)  # Python has no os.syncfs


class Durability:
    """
    A recorder of a tree's writes, which ``sync`` makes durable.

    Args:
        root: a directory of the tree; it is kept open, so that later I/O errors are reported.

    Attributes:
        syncs_file_system: one ``syncfs`` covers all writes. Otherwise each file is synced before it is closed, and
            ``sync`` syncs the directories: slower, but the only way on NFS, overlay and the like.
    """

    def __init__(self, root: Path) -> None:
        self.file_system = _file_system(root)
        self.syncs_file_system = self.file_system in _SYNCFS_FILE_SYSTEMS
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directories: set[str] = set()
        self._guard = Lock()

    def close(self) -> None:
        """Close the directory."""
        os.close(self._descriptor)

    def file_written(self, descriptor: int) -> None:
        """Record a complete file; call it before closing the file."""
        if not self.syncs_file_system:
            os.fsync(descriptor)

    def directory_changed(self, directory: Path | str) -> None:
        """Record that a directory entry was added, removed or renamed."""
        if not self.syncs_file_system:
            with self._guard:
                self._directories.add(str(directory))

    def path_changed(self, path: str) -> None:
        """Record that a path was added, removed or renamed."""
        if not self.syncs_file_system:
            self.directory_changed(os.path.dirname(path))  # noqa: PTH120 - text: a Path takes 6 µs

    def make_directory(self, directory: Path) -> None:
        """Create a directory with its missing parents, and record them."""
        if not self.syncs_file_system:
            for path in itertools.takewhile(lambda path: not path.exists(), (directory, *directory.parents)):
                self.directory_changed(path.parent)
        directory.mkdir(parents=True, exist_ok=True)

    def sync(self) -> None:
        """
        Make all recorded writes durable. It blocks for the disk: call it in a thread.

        Raises:
            VolumeError: the disk failed. Writes since the last ``sync`` may be lost.
        """
        if self.syncs_file_system:
            if _libc.syncfs(self._descriptor) != 0:
                number = ctypes.get_errno()
                kind = VolumeFullError if number in (errno.ENOSPC, errno.EDQUOT) else VolumeError
                raise kind(f"writes to the tree may be lost ({os.strerror(number)}): check the disk and the kernel log")
            return
        with self._guard:
            directories, self._directories = self._directories, set()
        for directory in directories:
            _sync_directory(directory)


def _sync_directory(directory: str) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # removed in the meantime; its parent is recorded, too
    except OSError as error:
        raise _not_durable(directory, error) from error
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _not_durable(directory, error) from error
    finally:
        os.close(descriptor)


def _not_durable(directory: str, error: OSError) -> VolumeError:
    """Return an error of the whole tree, because other projects' writes in this directory are not durable either."""
    return VolumeError(f"writes to {directory} may be lost ({error.strerror}): check the disk")


def _file_system(path: Path) -> str:
    """Return the file system type of a path, that of the longest mount point above it."""
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
