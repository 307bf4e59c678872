"""The PKG-INFO and the pyproject.toml inside a source distribution; nothing is unpacked to disk or executed."""

import bz2
import gzip
import io
import re
import tarfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from mirror_syncer.model.wheel import read_member

MAX_SDIST_BYTES = 10_000_000
"""A larger source distribution is not read: its requirements count as unknown."""
SDIST_ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar", ".zip")
"""Of the names of those that are read. The decompressor of xz takes as much memory as the archive claims to need."""
_MAX_UNPACKED_BYTES = 256 * 2**20  # 25 times the archive; only data compresses better
_MAX_MEMBERS = 50_000
_MAX_HEADER_BYTES = 2**20  # of a member's headers: tarfile keeps a long name or a sparse map in memory
_MAX_CONTENT_BYTES = 2**20  # of either file; the longest on PyPI has under 1 MiB
_PKG_INFO = re.compile(r"(?:\./)?[^/]+/PKG-INFO")
_PYPROJECT = re.compile(r"(?:\./)?[^/]+/pyproject\.toml")
_UNREADABLE = (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class SdistContents:
    """What a source distribution says about itself."""

    pkg_info: bytes | None
    """PKG-INFO of its top directory; None if there is none, or more than one."""
    pyproject: bytes | None


def read_sdist(sdist: BinaryIO, filename: str) -> SdistContents | None:
    """
    Return what an open source distribution says about itself; None if it cannot be read within the limits.

    Blocks: 256 MiB of zeros take 0.5 s.
    """
    name = filename.lower()
    if name.endswith(".zip"):
        return SdistContents(
            read_member(sdist, _PKG_INFO, max_bytes=_MAX_CONTENT_BYTES),
            read_member(sdist, _PYPROJECT, max_bytes=_MAX_CONTENT_BYTES),
        )
    try:
        if name.endswith((".tar.gz", ".tgz")):
            with gzip.GzipFile(fileobj=sdist) as unpacked:
                return _read_tar(_BoundedTar(unpacked))
        if name.endswith((".tar.bz2", ".tbz")):
            with bz2.BZ2File(sdist) as unpacked_bz2:
                return _read_tar(_BoundedTar(unpacked_bz2))
        if name.endswith(".tar"):
            return _read_tar(_BoundedTar(sdist))
    except _UNREADABLE:
        return None
    return None


def _read_tar(tar: "_BoundedTar") -> SdistContents:
    found: dict[re.Pattern[str], list[bytes]] = {_PKG_INFO: [], _PYPROJECT: []}
    # Not as a stream, and not seekable backwards: tarfile then reads headers only, through the bounds.
    with tarfile.TarFile(fileobj=tar, mode="r") as archive:
        for _ in range(_MAX_MEMBERS):
            tar.allow(_MAX_HEADER_BYTES)
            if (member := archive.next()) is None:
                break
            archive.members.clear()  # type: ignore[attr-defined] # it would keep 1 kB for each
            for pattern, contents in found.items():
                if pattern.fullmatch(member.name) and member.isreg() and not member.issparse():
                    if member.size > _MAX_CONTENT_BYTES:
                        raise tarfile.ReadError
                    tar.allow(_MAX_CONTENT_BYTES)
                    tar.seek(member.offset_data)
                    contents.append(tar.read(member.size))
        else:
            raise tarfile.ReadError
    return SdistContents(*(contents[0] if len(contents) == 1 else None for contents in found.values()))


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _BoundedTar(io.RawIOBase):
    """An unpacked TAR archive that can only be read forwards, with bounds on each read and on the whole."""

    def __init__(self, unpacked: _Readable) -> None:
        super().__init__()
        self._unpacked = unpacked
        self._position = 0
        self._allowed = _MAX_HEADER_BYTES

    def allow(self, count: int) -> None:
        """Allow so many bytes to be read from now on; skipped ones do not count."""
        self._allowed = count

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Skip bytes, at most to the end."""
        if whence != io.SEEK_SET or offset < self._position:
            raise tarfile.ReadError
        while self._position < offset and (chunk := self._unpacked.read(min(2**16, offset - self._position))):
            self._advance(len(chunk))
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, fewer only at the end."""
        if not 0 <= size <= self._allowed:
            raise tarfile.ReadError
        self._allowed -= size
        chunks = list[bytes]()
        while size and (chunk := self._unpacked.read(size)):
            chunks.append(chunk)
            size -= len(chunk)
            self._advance(len(chunk))
        return b"".join(chunks)

    def _advance(self, count: int) -> None:
        self._position += count
        if self._position > _MAX_UNPACKED_BYTES:
            raise tarfile.ReadError
