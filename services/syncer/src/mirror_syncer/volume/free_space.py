"""Room on the tree's disk: a share of it stays free, whoever writes, and however much."""

import os
from pathlib import Path

from pydantic import ByteSize

from mirror_syncer.errors import VolumeFullError
from mirror_syncer.volume.disk import MAKE_ROOM, explain_disk_errors

MIN_FREE_BYTES = 2**20
"""Bytes; a disk without room for these is full, whoever asks."""
_MIN_FREE_INODES = 1_000
_CHECK_INTERVAL_BYTES = 16 * 2**20  # bytes; a look takes 2 µs


class FreeSpace:
    """
    What one process may still write.

    Bytes that were promised to others count when they are written: by then the disk itself knows of those of every
    transfer, every process and every neighbour. So a sync stops at the reserve, late by 16 MiB a process at most.

    Args:
        root: a directory on the disk.
        reserve: the share of the file system that is left free.
    """

    def __init__(self, root: Path, *, reserve: float) -> None:
        self._root = root
        self._reserve = reserve
        self._unchecked_bytes = 0
        """Bytes written since the last look."""

    def check(self, wanted: int) -> None:
        """Raise ``VolumeFullError`` where so many bytes more would touch the reserve, or inodes run out."""
        found = self._statvfs()
        free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        if free - wanted < size * self._reserve:
            more = f", {_human_size(wanted)} more are wanted" if wanted else ""
            raise VolumeFullError(
                f"{self._root}: {_human_size(free)} of {_human_size(size)} are free{more}, and {self._reserve * 100:g}% are to "
                f"stay free (MIRROR_DISK_RESERVE): {MAKE_ROOM}"
            )
        if found.f_files and found.f_favail < _MIN_FREE_INODES:
            raise VolumeFullError(f"{self._root}: {found.f_favail} inodes are free: grow the file system")

    def take(self, wanted: int) -> None:
        """Count bytes that are about to be written; every now and then, ``check`` that there is room for them."""
        self._unchecked_bytes += wanted
        if self._unchecked_bytes >= _CHECK_INTERVAL_BYTES:
            # Where this refuses, the count stays: the next transfer looks at once, and is refused, too.
            self.check(wanted)
            self._unchecked_bytes = 0

    def spare_bytes(self) -> int:
        """Return the bytes that are free beyond the reserve; below none where it is touched."""
        found = self._statvfs()
        return int((found.f_bavail - found.f_blocks * self._reserve) * found.f_frsize)

    def _statvfs(self) -> os.statvfs_result:
        with explain_disk_errors(self._root, affects_all=True):
            return os.statvfs(self._root)


def _human_size(count: int) -> str:
    return ByteSize(count).human_readable(decimal=True, separator=" ")
