"""Free space on the tree's disk, of which a configured share is reserved."""

import os
from pathlib import Path

from mirror_contract.text import format_bytes
from mirror_syncer.errors import VolumeFullError
from mirror_syncer.volume.disk import MAKE_ROOM, explain_disk_errors

MIN_FREE_BYTES = 2**20
"""A disk with less free space beyond its reserve counts as full."""
_MIN_FREE_INODES = 1_000
_CHECK_INTERVAL_BYTES = 16 * 2**20  # a check takes 2 µs


class FreeSpace:
    """
    The space that one process may still use.

    Only written bytes count, because the disk knows those of every transfer, process and other program. A sync may
    therefore overrun the reserve, by at most 16 MiB per process.

    Args:
        root: a directory on the disk.
        reserve: the share of the file system to keep free.
    """

    def __init__(self, root: Path, *, reserve: float) -> None:
        self._root = root
        self._reserve = reserve
        self._unchecked_bytes = 0
        """Bytes written since the last check."""

    def check(self, wanted: int) -> None:
        """Raise ``VolumeFullError`` if this many more bytes would use the reserve, or inodes run out."""
        found = self._statvfs()
        free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        if free - wanted < size * self._reserve:
            needed = f", {format_bytes(wanted)} needed" if wanted else ""
            raise VolumeFullError(
                f"{self._root}: {format_bytes(free)} of {format_bytes(size)} free{needed}, "
                f"{self._reserve * 100:g}% must stay free (MIRROR_DISK_RESERVE): {MAKE_ROOM}"
            )
        if found.f_files and found.f_favail < _MIN_FREE_INODES:
            raise VolumeFullError(f"{self._root}: only {found.f_favail} inodes are free: grow the file system")

    def reserve(self, wanted: int) -> None:
        """Count bytes about to be written; every 16 MiB, ``check`` the free space."""
        self._unchecked_bytes += wanted
        if self._unchecked_bytes >= _CHECK_INTERVAL_BYTES:
            # If this fails, the count stays, so that the next transfer checks at once and fails, too.
            self.check(wanted)
            self._unchecked_bytes = 0

    def spare_bytes(self) -> int:
        """Return the free bytes beyond the reserve; negative if the reserve is in use."""
        found = self._statvfs()
        return int((found.f_bavail - found.f_blocks * self._reserve) * found.f_frsize)

    def _statvfs(self) -> os.statvfs_result:
        with explain_disk_errors(self._root, affects_all=True):
            return os.statvfs(self._root)
