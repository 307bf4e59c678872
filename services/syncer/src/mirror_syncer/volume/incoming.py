"""A file on its way into the tree."""

import hashlib
import os
import re
import stat
import zipfile
import zlib
from pathlib import Path

from mirror_syncer.errors import FileRejected
from mirror_syncer.names import SIZE_MOST, Sha256
from mirror_syncer.volume.disk import disk_says
from mirror_syncer.volume.durability import Durability

_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_MODE = 0o644  # nginx and rsync read as others
_CHUNK = 2**20
_DIRECTORY_MOST = 8 * 2**20  # of a ZIP archive; the largest wheel on PyPI has 100,000 entries of 80 bytes
_END_MOST = 20 + 22 + 65_535  # ZIP64's locator, the end record and the longest comment
# The longest METADATA on PyPI has under 1 MiB; a bomb would have more.
METADATA_MOST = 16 * 2**20


class Incoming:
    """
    A temporary that fills up, hashed as it grows, and gets its name when it is right.

    Args:
        temporary: where it grows, on the tree's file system. What lies there already is taken for its beginning, and
            the hash over all of it decides in the end.
        size: what it must weigh, in bytes, where that is known.
        address: hash with blake2b, too, because its place in the tree is not known from its URL.
        lasting: what has arrived outlives a failure and a restart.
    """

    def __init__(
        self,
        temporary: Path,
        *,
        sha256: Sha256,
        size: int | None,
        durability: Durability,
        address: bool = False,
        lasting: bool = False,
    ) -> None:
        self.temporary = temporary
        self._wanted = sha256
        self._size = size
        self._address = address
        self._lasting = lasting
        self._durability = durability
        with disk_says(temporary):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(temporary, flags, 0o600), "r+b", buffering=0)
            self._begin()
            self._resume()

    @property
    def position(self) -> int:
        """How many bytes it holds."""
        return self._position

    @property
    def blake2b(self) -> str:
        """The content's blake2b-256, where ``address`` asked for it."""
        return self._blake2b.hexdigest()

    def restart(self) -> None:
        """Forget what it holds."""
        with disk_says(self.temporary):
            self._file.truncate(0)
        self._begin()

    def write(self, chunk: bytes) -> None:
        """
        Take the next bytes.

        Raises:
            FileRejected: it grows past its size.
            VolumeError: the disk says no.
        """
        # A body without a size in its page ends somewhere, too.
        most = SIZE_MOST if self._size is None else self._size
        if self._position + len(chunk) > most:
            self.restart()
            raise FileRejected(f"upstream sends more than the {most:,} bytes that it may have")
        with disk_says(self.temporary):
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        self._hash(chunk)

    def check(self) -> None:
        """
        Raise ``FileRejected`` unless size and sha256 are what the page says.

        A wrong content is forgotten, so that another attempt begins anew.
        """
        if self._size is not None and self._position != self._size:
            held = self._position
            self.restart()
            raise FileRejected(f"the page gives it {self._size:,} bytes, upstream sent {held:,}")
        if (found := self._sha256.hexdigest()) != self._wanted:
            self.restart()
            raise FileRejected(f"its sha256 is {found}, the page says {self._wanted}")

    def name_it(self, target: Path, *, mtime: float | None) -> None:
        """
        Give it its name, replacing what has it.

        Args:
            mtime: seconds since the epoch; upload time as mtime makes the ETags of two mirrors equal.
        """
        with disk_says(target):
            os.fchmod(self._file.fileno(), _MODE)
            if mtime is not None:
                os.utime(self._file.fileno(), (mtime, mtime))
            self._durability.wrote(self._file.fileno())
            self._file.close()
            self.temporary.rename(target)
        self._durability.named(target.parent)

    def abandon(self) -> None:
        """Stop here: a lasting one stays, to go on later, any other goes."""
        self._file.close()
        if not (self._lasting and self._position):
            self.temporary.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._position = 0
        self._sha256 = hashlib.sha256()
        self._blake2b = hashlib.blake2b(digest_size=32)

    def _resume(self) -> None:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._hash(chunk)
        if self._size is not None and self._position > self._size:
            self.restart()

    def _hash(self, chunk: bytes) -> None:
        self._position += len(chunk)
        self._sha256.update(chunk)
        if self._address:
            self._blake2b.update(chunk)


def wheel_metadata(path: Path) -> bytes | None:
    """
    Return the METADATA of the wheel that a file is (PEP 427), or None where it cannot be read.

    What is read is bounded, whatever the archive says of itself: a directory of millions of entries, and zipfile's
    unbounded decompressors (bzip2, LZMA: 3 kB became 6 GB), are no wheel's.
    """
    try:
        if path.stat().st_size > _DIRECTORY_MOST and not _modest(path):
            return None
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if _METADATA.fullmatch(name)]
            if len(names) != 1:
                return None
            entry = wheel.getinfo(names[0])
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.file_size > METADATA_MOST:
                return None
            with wheel.open(entry) as member:
                return member.read(METADATA_MOST)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, ValueError, EOFError, NotImplementedError):
        return None


def _modest(path: Path) -> bool:
    """
    Return whether a ZIP archive's directory is of a size that reading it is no danger.

    Whatever zipfile might take for the end record counts. Where a locator of ZIP64's (APPNOTE 4.3.15) stands before it,
    zipfile believes the record that this leads to, and so the archive is not modest.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_MOST))
        end = file.read()
    # APPNOTE 4.3.16: signature, 8 bytes of counts, then the directory's size
    sizes = [int.from_bytes(end[found.start() + 12 :][:4], "little") for found in re.finditer(b"(?=PK\5\6)", end)]
    return bool(sizes) and max(sizes) <= _DIRECTORY_MOST and b"PK\6\7" not in end


def file_digest(path: Path) -> Sha256 | None:
    """Return the sha256 of a file's content, or None where there is no such plain file. It blocks for the disk."""
    with disk_says(path, cannot_be="read"):
        try:
            # A symlink that somebody planted is no file of ours, and a pipe would never end.
            if not stat.S_ISREG(path.lstat().st_mode):
                return None
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
                return Sha256(hashlib.file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            return None
