"""
Ballast: a file that holds some room on the disk, so that a full disk can be emptied.

A page that names less than before is written beside the old one, and a mark where a file was: both need room. When a
neighbour or a log has taken all that there was, the ballast is deleted, and removals have room to be written down.
"""

import os
from contextlib import suppress
from pathlib import Path

from mirror_syncer.volume.disk import unlink

BALLAST_BYTES = 16 * 2**20  # 2,000 pages of 8 kB
_MIN_SPARE_BYTES = 8 * BALLAST_BYTES  # that must be to spare before it is created


def trim_ballast(path: Path, *, free: int, spare_bytes: int) -> None:
    """
    Delete the ballast where the disk is full, and create it where there is ample room.

    A failure is ignored: the disk is no fuller than it was.

    Args:
        free: bytes that may still be written.
        spare: bytes that may, and leave the reserve as it is.
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
