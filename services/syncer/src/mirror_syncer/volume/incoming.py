"""Downloads into the tree: a small file is buffered in memory, any other grows in a temporary file."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.digests import NO_DIGEST, OtherDigest, check_other_digest, new_hasher
from mirror_syncer.model.names import MAX_FILE_BYTES, Sha256
from mirror_syncer.volume.disk import explain_disk_errors, explained, unlink, write_whole
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.free_space import MIN_FREE_BYTES, FreeSpace

_MODE = 0o644  # nginx and rsync read as others
_CHUNK_BYTES = 2**20
# The leftover of a crash under the name of a temporary is overwritten.
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Incoming:
    """
    A download in a temporary file, hashed as it grows, and renamed into place once it is checked.

    Args:
        temporary: path of the temporary, on the tree's file system. Existing content is kept as the file's beginning;
            the final hash covers it, too.
        sha256: the expected sha256; NO_DIGEST if unknown.
        other_digest: checked instead if the sha256 is unknown.
        size: the expected size in bytes, if known.
        resumable: keep received bytes after a failure or a restart.
    """

    def __init__(
        self,
        temporary: Path,
        *,
        sha256: Sha256,
        size: int | None,
        durability: Durability,
        room: FreeSpace,
        resumable: bool = False,
        other_digest: OtherDigest | None = None,
    ) -> None:
        self.temporary = temporary
        self._wanted = sha256
        self._other_wanted = other_digest
        self._size = size
        self._resumable = resumable
        self._durability = durability
        self._room = room
        self._unchecked_bytes = 0
        """Bytes received since the last check of the free space."""
        with explain_disk_errors(temporary):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(temporary, flags, 0o600), "r+b", buffering=0)
            self._begin()
            self._resume()

    @property
    def position(self) -> int:
        """Number of bytes received."""
        return self._position

    @property
    def content(self) -> Path:
        """Path of the received content."""
        return self.temporary

    @property
    def sha256(self) -> Sha256:
        """The sha256 of the content."""
        return Sha256(self._sha256.hexdigest())

    @property
    def blake2b(self) -> str:
        """The blake2b-256 of the content, which determines its place in the tree, regardless of its URL."""
        return self._blake2b.hexdigest()

    def restart(self) -> None:
        """Discard the received bytes."""
        with explain_disk_errors(self.temporary):
            self._file.truncate(0)
        self._begin()

    def write(self, chunk: bytes) -> None:
        """
        Append the next bytes.

        Raises:
            FileRejectedError: it exceeds its size or, if that is unknown, takes over half of the free space.
            VolumeError: the disk failed, or its reserve is reached.
        """
        # A file whose page gives no size is limited, too.
        max_bytes = MAX_FILE_BYTES if self._size is None else self._size
        if self._position + len(chunk) > max_bytes:
            self.restart()
            raise _too_large_error(max_bytes)
        if self._size is None:
            self._check_share(len(chunk))
        self._room.reserve(len(chunk))
        with explain_disk_errors(self.temporary):
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        self._hash(chunk)

    def check(self) -> None:
        """
        Raise ``FileRejectedError`` unless size and digest match the page.

        Wrong content is discarded, so that the next attempt starts over.
        """
        if self._size is not None and self._position != self._size:
            held = self._position
            self.restart()
            raise _wrong_size_error(self._size, held)
        if self._wanted == NO_DIGEST:
            try:
                check_other_digest(self._other_wanted, self._other)
            except FileRejectedError:
                self.restart()
                raise
        elif (found := self._sha256.hexdigest()) != self._wanted:
            self.restart()
            raise _wrong_digest_error(self._wanted, found)

    def publish_file(self, target: str, *, mtime: float | None) -> None:
        """
        Rename it to its place, replacing any file there.

        Args:
            mtime: seconds since the epoch; the upload time as mtime makes the ETags of two mirrors equal.
        """
        with explain_disk_errors(target):
            os.fchmod(self._file.fileno(), _MODE)
            if mtime is not None:
                os.utime(self._file.fileno(), (mtime, mtime))
            self._durability.file_written(self._file.fileno())
            self._file.close()
            os.rename(self.temporary, target)  # noqa: PTH104 - text, see Tree
        self._durability.path_changed(target)

    def abandon(self) -> None:
        """End the download; keep the temporary only if it can be resumed."""
        self._file.close()
        if not (self._resumable and self._position):
            with suppress(OSError):  # the caller reports the original error
                unlink(self.temporary)

    def _check_share(self, more: int) -> None:
        """
        Reject a file of unknown size once it has taken more than the remaining free space.

        Such a file may be endless: at the reserve it would end the run for every project. Of several that grow at the
        same time, the first is rejected while the others still have space.
        """
        self._unchecked_bytes += more
        if self._unchecked_bytes < MIN_FREE_BYTES:
            return
        self._unchecked_bytes = 0
        if (held := self._position) > self._room.spare_bytes():
            self.restart()
            self._room.check(MIN_FREE_BYTES)
            raise FileRejectedError(
                f"its page gives it no size, and after {held:,} bytes it had taken over half of the free space: "
                "grow the disk, or select less in mirror.toml"
            )

    def _begin(self) -> None:
        self._position = 0
        self._sha256 = hashlib.sha256()
        self._other = new_hasher(self._other_wanted)
        self._blake2b = hashlib.blake2b(digest_size=32)

    def _resume(self) -> None:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            self._hash(chunk)
        if self._size is not None and self._position > self._size:
            self.restart()

    def _hash(self, chunk: bytes) -> None:
        self._position += len(chunk)
        self._sha256.update(chunk)
        if self._other is not None:
            self._other.update(chunk)
        self._blake2b.update(chunk)


class BufferedIncoming:
    """
    A small download, buffered in memory and written at once when it is checked.

    Args:
        temporary: path of the temporary file that is renamed into place.
        size: the expected size in bytes.
    """

    def __init__(self, temporary: str, *, sha256: Sha256, size: int, durability: Durability, room: FreeSpace) -> None:
        self.temporary = temporary
        self._wanted = sha256
        self._size = size
        self._durability = durability
        self._room = room
        self.restart()

    @property
    def position(self) -> int:
        """Number of bytes received."""
        return len(self._body)

    @property
    def content(self) -> bytes:
        """The received content."""
        return bytes(self._body)

    @property
    def sha256(self) -> Sha256:
        """The sha256 of the content."""
        return Sha256(hashlib.sha256(self._body).hexdigest())

    @property
    def blake2b(self) -> str:
        """The blake2b-256 of the content."""
        return hashlib.blake2b(self._body, digest_size=32).hexdigest()

    def restart(self) -> None:
        """Discard the received bytes."""
        self._body = bytearray()

    def write(self, chunk: bytes) -> None:
        """Append the next bytes; errors as in ``Incoming.write``."""
        if len(self._body) + len(chunk) > self._size:
            self.restart()
            raise _too_large_error(self._size)
        self._body += chunk

    def check(self) -> None:
        """Check size and sha256; errors as in ``Incoming.check``."""
        if (held := len(self._body)) != self._size:
            self.restart()
            raise _wrong_size_error(self._size, held)
        if (found := hashlib.sha256(self._body).hexdigest()) != self._wanted:
            self.restart()
            raise _wrong_digest_error(self._wanted, found)

    def publish_file(self, target: str, *, mtime: float | None) -> None:
        """Write it and rename it to its place, as in ``Incoming.publish_file``."""
        self._room.reserve(len(self._body))
        store(self._body, temporary=self.temporary, target=target, durability=self._durability, mtime=mtime)

    def abandon(self) -> None:
        """End the download."""
        self.restart()


AnyIncoming = Incoming | BufferedIncoming


def store(
    body: bytes | bytearray, *, temporary: str, target: str, durability: Durability, mtime: float | None = None
) -> None:
    """Write a small file and rename it to its place, replacing any file there."""
    try:
        file = os.open(temporary, _WRITING, _MODE)
        try:
            write_whole(file, body)
            os.fchmod(file, _MODE)  # regardless of the umask, and of a leftover's mode
            if mtime is not None:
                os.utime(file, (mtime, mtime))
            durability.file_written(file)
            os.rename(temporary, target)  # noqa: PTH104 - text, see Tree
        except BaseException:
            with suppress(OSError):  # as above
                unlink(temporary)
            raise
        finally:
            os.close(file)
    except OSError as error:
        raise explained(error, target) from error
    durability.path_changed(target)


def _too_large_error(max_bytes: int) -> FileRejectedError:
    return FileRejectedError(f"upstream sent more than the {max_bytes:,} bytes allowed for this file")


def _wrong_size_error(wanted: int, held: int) -> FileRejectedError:
    return FileRejectedError(f"the page declares {wanted:,} bytes, upstream sent {held:,}")


def _wrong_digest_error(wanted: Sha256, found: str) -> FileRejectedError:
    return FileRejectedError(f"its sha256 is {found}, the page says {wanted}")
