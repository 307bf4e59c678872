"""
Ballast: a file that reserves space, so that removals still work on a full disk.

A removal writes a shorter page beside the old one, and a tombstone for the file; both need space. When other programs
have filled the disk, the syncer deletes the ballast to make that space.
"""

import os
from contextlib import suppress
from pathlib import Path

from mirror_syncer.volume.disk import unlink

BALLAST_BYTES = 16 * 2**20  # 2,000 pages of 8 kB
_MIN_SPARE_BYTES = 8 * BALLAST_BYTES  # that must be free beyond the reserve before it is created


def trim_ballast(path: Path, *, free: int, spare_bytes: int) -> None:
    """
    Delete the ballast if the disk is full, and create it if there is ample space.

    A failure is ignored, because it leaves the disk no fuller than before.

    Args:
        free: free bytes.
        spare_bytes: free bytes beyond the reserve.
    """
    with suppress(OSError):
        if free < BALLAST_BYTES:
            unlink(path)
        elif spare_bytes >= _MIN_SPARE_BYTES and not path.exists():
            _create(path)


def _create(path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        os.posix_fallocate(file, 0, BALLAST_BYTES)
    except OSError:
        unlink(path)
        raise
    finally:
        os.close(file)
