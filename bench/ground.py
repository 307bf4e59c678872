"""Fresh ground: directories that ext4 lays where nothing was deleted just now."""

import contextlib
import fcntl
import os
import struct
import tempfile
from pathlib import Path

# linux/fs.h
_GET_FLAGS, _SET_FLAGS, _TOP_DIRECTORY = 0x8008_6601, 0x4008_6602, 0x0002_0000


class Ground:
    """
    Gives out directories.

    ext4 passes over inodes that were deleted within the last five minutes, after a look at each: whoever writes where
    another run was removed pays for it (30 % of all processor time seen). Below a directory with the attribute T of
    chattr(1) it puts each new one into a block group by the hash of its name, so that a random name is enough.

    Args:
        root: on the disk that is measured. File systems without the attribute have no need of it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):
            (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8)))
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags | _TOP_DIRECTORY))
        os.close(descriptor)

    def fresh(self, name: str) -> Path:
        """Return a new directory."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._root))
