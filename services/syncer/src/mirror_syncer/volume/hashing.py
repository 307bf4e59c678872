"""Hashes of files that lie in the tree: at once, or piece by piece, so that the reader may pause in a large one."""

import hashlib
import os
import stat
from collections.abc import Generator
from pathlib import Path
from threading import local

from isal import isal_zlib

from mirror_syncer.model.digests import OtherDigest
from mirror_syncer.model.names import Sha256
from mirror_syncer.volume.disk import explain_disk_errors, is_absent

GZIP = 31  # zlib's wbits for a gzip frame

_thread_local = local()  # a buffer a thread: hashlib.file_digest's own, made for each file, costs small ones a third


def read_file(path: str) -> bytes | None:
    """
    Return a file's content, or None where nothing lies there. It blocks for the disk.

    Raises:
        OSError: the disk says no.
    """
    try:
        # Unbuffered: the buffer would cost a small page more than its reading.
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - text, see View
            return file.read()
    except OSError as error:
        if is_absent(error):
            return None
        raise


def file_digest(path: Path) -> Sha256 | None:
    """Return the sha256 of a file's content, or None where there is no such plain file. It blocks for the disk."""
    found = _content_digest(path, "sha256")
    return None if found is None else Sha256(found)


def file_other_digest(path: Path, like: OtherDigest) -> OtherDigest | None:
    """Return another digest of a file's content, of the same kind as one; None likewise. It blocks for the disk."""
    algorithm = like.partition("=")[0]
    found = _content_digest(path, algorithm)
    return None if found is None else OtherDigest(f"{algorithm}={found}")


def _content_digest(path: Path, algorithm: str) -> str | None:
    with explain_disk_errors(path, cannot_be="read"):
        try:
            # A symlink that somebody planted is no file of ours, and a pipe would never end.
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
                return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
        except OSError as error:
            if is_absent(error):
                return None
            raise


def hash_in_pieces(path: str, *, piece: int) -> Generator[int, None, Sha256 | None]:
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


def gzip_content_digest(path: Path) -> str:
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
    buffer: bytearray | None = getattr(_thread_local, "buffer", None)
    if buffer is None or len(buffer) < size:
        buffer = _thread_local.buffer = bytearray(size)
    return memoryview(buffer)[:size]
