"""Reading and hashing of an old tree's files, without following symlinks."""

import hashlib
import os
import stat
from pathlib import Path

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.names import Sha256
from mirror_syncer.volume import MAX_METADATA_BYTES

_CHUNK_BYTES = 2**20


def hash_file(path: str) -> tuple[str, str]:
    """
    Return a file's sha256 and blake2b-256.

    Raises:
        FileRejectedError: it cannot be read.
    """
    both = hashlib.sha256(), hashlib.blake2b(digest_size=32)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                for digest in both:
                    digest.update(chunk)
    except OSError as error:
        raise FileRejectedError(f"{path} cannot be read: {error.strerror}") from error
    return both[0].hexdigest(), both[1].hexdigest()


def sha256(body: bytes) -> Sha256:
    """Return the sha256 of a content in memory."""
    return Sha256(hashlib.sha256(body).hexdigest())


def read_metadata_file(path: str) -> bytes | None:
    """Return the content of a regular file that is small enough to be metadata, or None."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_METADATA_BYTES else None
    except OSError:
        return None


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths are hard links of one file."""
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False
