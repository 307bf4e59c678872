"""Hashes of the tree's files, computed at once or in pieces, so that a reader may pause in a large file."""

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

_thread_local = (
    local()
)  # a buffer per thread: hashlib.file_digest allocates one per file, a third of the time for small files


def read_file(path: str, *, most: int = -1) -> bytes | None:
    """
    Return a file's content, or None if it does not exist. It blocks for the disk.

    Args:
        path: the file.
        most: how many bytes of its beginning; -1: all.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        # Unbuffered: allocating a buffer costs more than reading a small page.
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - text, see View
            return file.read(most)
    except OSError as error:
        if is_absent(error):
            return None
        raise


def file_digest(path: Path | str) -> Sha256 | None:
    """Return the sha256 of a regular file, or None if there is none. It blocks for the disk."""
    found = _content_digest(path, "sha256")
    return None if found is None else Sha256(found)


def file_other_digest(path: Path | str, like: OtherDigest) -> OtherDigest | None:
    """Return a digest of a regular file by the algorithm of ``like``, or None if there is none. It blocks likewise."""
    algorithm = like.partition("=")[0]
    found = _content_digest(path, algorithm)
    return None if found is None else OtherDigest(f"{algorithm}={found}")


def address_of(path: Path) -> str | None:
    """Return the blake2b-256 of a file, as in PyPI's URLs; None if it cannot be read. It blocks for the disk."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    except OSError:
        return None


def _content_digest(path: Path | str, algorithm: str) -> str | None:
    with explain_disk_errors(path, cannot_be="read"):
        try:
            # Refuse a planted symlink, and a pipe, which would never end.
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return None
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
                return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
        except OSError as error:
            if is_absent(error):
                return None
            raise


def hash_in_pieces(path: str, *, piece: int) -> Generator[int, None, Sha256 | None]:
    """
    Yield the size of each piece before reading it; return the sha256, or None if there is no regular file.

    Each step may run in another thread, and the generator may be closed at any time. It blocks for the disk.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        # Refuse a planted symlink, and a pipe, which would never end.
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
    """Return the sha256 of a ``.gz`` file's content; empty unless the file is exactly one complete gzip member."""
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
