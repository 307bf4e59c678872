"""A published file's hash, taken piece by piece, so that whoever takes it may pause in the middle of a large one."""

import hashlib
import os
import stat
from collections.abc import Generator
from pathlib import Path
from threading import local

from isal import isal_zlib

from mirror_syncer.names import Sha256
from mirror_syncer.volume.disk import is_absent

GZIP = 31  # zlib's wbits for a gzip frame

_mine = local()  # a buffer a thread: hashlib.file_digest's own, made for each file, costs small ones a third


def digest_by_pieces(path: str, *, piece: int) -> Generator[int, None, Sha256 | None]:
    """
    Yield the bytes of each piece before it is read; return the sha256, or None where there is no such plain file.

    It may be gone on with in another thread, and closed at any time. It blocks for the disk.

    Raises:
        OSError: the disk says no.
    """
    try:
        # A symlink that somebody planted is no file of ours, and a pipe would never end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if is_absent(error) or os.path.islink(path):  # noqa: PTH114 - text, see View
            return None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        left, whole = status.st_size, hashlib.sha256()
        while left > 0:
            yield min(left, piece)
            view = _buffer(piece)
            if (count := os.readv(descriptor, [view])) == 0:
                break  # it has shrunk
            whole.update(view[:count])
            left -= count
        return Sha256(whole.hexdigest())
    finally:
        os.close(descriptor)


def twin_digest(path: Path) -> str:
    """Return the sha256 of what a ``.gz`` holds; nobody's where it is not one gzip frame, whole, and nothing else."""
    packed, whole = isal_zlib.decompressobj(GZIP), hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(2**20):
                whole.update(packed.decompress(piece))
    except isal_zlib.error:  # type: ignore[misc] # the stub calls it an object
        return ""
    return whole.hexdigest() if packed.eof and not packed.unused_data else ""


def _buffer(size: int) -> memoryview:
    buffer: bytearray | None = getattr(_mine, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _mine.buffer = bytearray(size)
    return memoryview(buffer)[:size]
