"""A file on its way into the tree: a small one gathered in memory, any other in a temporary that grows."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.digests import NO_DIGEST, OtherDigest, check_other_digest, new_hasher
from mirror_syncer.model.names import MAX_FILE_BYTES, Sha256
from mirror_syncer.volume.disk import explain_disk_errors, unlink, write_whole
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.free_space import MIN_FREE_BYTES, FreeSpace

_MODE = 0o644  # nginx and rsync read as others
_CHUNK_BYTES = 2**20


class Incoming:
    """
    A temporary that fills up, hashed as it grows, and gets its name when it is right.

    Args:
        temporary: where it grows, on the tree's file system. What lies there already is taken for its beginning, and
            the hash over all of it decides in the end.
        sha256: what its content must have; NO_DIGEST: nobody said.
        other_digest: what is checked then, where there is any.
        size: what it must weigh, in bytes, where that is known.
        lasting: what has arrived outlives a failure and a restart.
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
        """Bytes since the last look at what is left to others."""
        with explain_disk_errors(temporary):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(temporary, flags, 0o600), "r+b", buffering=0)
            self._begin()
            self._resume()

    @property
    def position(self) -> int:
        """How many bytes it holds."""
        return self._position

    @property
    def content(self) -> Path:
        """Where to read what it holds."""
        return self.temporary

    @property
    def sha256(self) -> Sha256:
        """The content's sha256."""
        return Sha256(self._sha256.hexdigest())

    @property
    def blake2b(self) -> str:
        """The content's blake2b-256: where it belongs in the tree, whatever its URL says."""
        return self._blake2b.hexdigest()

    def restart(self) -> None:
        """Forget what it holds."""
        with explain_disk_errors(self.temporary):
            self._file.truncate(0)
        self._begin()

    def write(self, chunk: bytes) -> None:
        """
        Take the next bytes.

        Raises:
            FileRejectedError: it grows past its size or, where that is not known, takes more than it leaves to others.
            VolumeError: the disk says no, or its reserve is reached.
        """
        # A body without a size in its page ends somewhere, too.
        most = MAX_FILE_BYTES if self._size is None else self._size
        if self._position + len(chunk) > most:
            self.restart()
            raise _too_large_error(most)
        if self._size is None:
            self._check_share(len(chunk))
        self._room.take(len(chunk))
        with explain_disk_errors(self.temporary):
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        self._hash(chunk)

    def check(self) -> None:
        """
        Raise ``FileRejectedError`` unless size and sha256 are what the page says.

        A wrong content is forgotten, so that another attempt begins anew.
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

    def publish_file(self, target: Path | str, *, mtime: float | None) -> None:
        """
        Give it its name, replacing what has it.

        Args:
            mtime: seconds since the epoch; upload time as mtime makes the ETags of two mirrors equal.
        """
        with explain_disk_errors(target):
            os.fchmod(self._file.fileno(), _MODE)
            if mtime is not None:
                os.utime(self._file.fileno(), (mtime, mtime))
            self._durability.file_written(self._file.fileno())
            self._file.close()
            os.rename(self.temporary, target)  # noqa: PTH104 - text, see Tree
        self._durability.directory_changed(os.path.dirname(target))  # noqa: PTH120 - as above

    def abandon(self) -> None:
        """Stop here: a lasting one stays, to go on later, any other goes."""
        self._file.close()
        if not (self._resumable and self._position):
            with suppress(OSError):  # whatever ended it is what is told
                unlink(self.temporary)

    def _check_share(self, more: int) -> None:
        """
        Give up where it has taken more than it leaves to all others.

        Nobody could look ahead for it, and it may have no end: at the reserve it would end the run, and so cost every
        project its turn. Of any number that grow beside each other the first gives up while there is room for another.
        """
        self._unchecked_bytes += more
        if self._unchecked_bytes < MIN_FREE_BYTES:
            return
        self._unchecked_bytes = 0
        if (held := self._position) > self._room.spare_bytes():
            self.restart()
            self._room.check(MIN_FREE_BYTES)
            raise FileRejectedError(
                f"its page gives it no size, and it had {held:,} bytes, more than it left to all others on the disk: "
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
    A small file, gathered in memory, written at once when it is right.

    Args:
        temporary: what it is called for the moment between its first byte on disk and its name.
        size: what it must weigh, in bytes.
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
        """How many bytes it holds."""
        return len(self._body)

    @property
    def content(self) -> bytes:
        """What it holds."""
        return bytes(self._body)

    @property
    def sha256(self) -> Sha256:
        """The content's sha256."""
        return Sha256(hashlib.sha256(self._body).hexdigest())

    @property
    def blake2b(self) -> str:
        """The content's blake2b-256."""
        return hashlib.blake2b(self._body, digest_size=32).hexdigest()

    def restart(self) -> None:
        """Forget what it holds."""
        self._body = bytearray()

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; errors as of ``Incoming.write``."""
        if len(self._body) + len(chunk) > self._size:
            self.restart()
            raise _too_large_error(self._size)
        self._body += chunk

    def check(self) -> None:
        """Raise as ``Incoming.check`` does."""
        if (held := len(self._body)) != self._size:
            self.restart()
            raise _wrong_size_error(self._size, held)
        if (found := hashlib.sha256(self._body).hexdigest()) != self._wanted:
            self.restart()
            raise _wrong_digest_error(self._wanted, found)

    def publish_file(self, target: Path | str, *, mtime: float | None) -> None:
        """Write it and give it its name, as ``Incoming.publish_file`` does."""
        self._room.take(len(self._body))
        store(self._body, temporary=self.temporary, target=target, durability=self._durability, mtime=mtime)

    def abandon(self) -> None:
        """Stop here."""
        self.restart()


AnyIncoming = Incoming | BufferedIncoming


def store(
    body: bytes | bytearray, *, temporary: str, target: Path | str, durability: Durability, mtime: float | None = None
) -> None:
    """Write a small file whole and give it its name, replacing what has it."""
    with explain_disk_errors(target):
        # What a crash left under this name is written over.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(temporary, flags, _MODE)
        try:
            write_whole(file, body)
            os.fchmod(file, _MODE)  # whatever the umask, and whatever the mode of what a crash left
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
    durability.directory_changed(os.path.dirname(target))  # noqa: PTH120 - as above


def _too_large_error(most: int) -> FileRejectedError:
    return FileRejectedError(f"upstream sends more than the {most:,} bytes that it may have")


def _wrong_size_error(wanted: int, held: int) -> FileRejectedError:
    return FileRejectedError(f"the page gives it {wanted:,} bytes, upstream sent {held:,}")


def _wrong_digest_error(wanted: Sha256, found: str) -> FileRejectedError:
    return FileRejectedError(f"its sha256 is {found}, the page says {wanted}")
