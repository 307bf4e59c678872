"""The METADATA inside a wheel (PEP 427), read with bounds whatever the archive claims."""

import os
import re
import zipfile
import zlib
from typing import BinaryIO

from mirror_syncer.model.zip_directory import read_plain_member

_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_METADATA_BYTES = re.compile(_METADATA.pattern.encode())
_MAX_DIRECTORY_BYTES = 8 * 2**20  # of a ZIP archive; the largest wheel on PyPI has 100,000 entries of 80 bytes
MAX_END_BYTES = 20 + 22 + 65_535
"""The end of a ZIP archive that is searched for its end record: ZIP64's locator, the record, the longest comment."""
MAX_METADATA_BYTES = 16 * 2**20
"""The longest METADATA on PyPI has under 1 MiB; a bomb would have more."""
_HEADER_BYTES = 30  # APPNOTE 4.3.7: before a member's name, its extra field and its data
_MAX_EXTRA_BYTES = 1_024  # of METADATA; usually none, or 20 to 32

UNREADABLE = (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, ValueError, EOFError, NotImplementedError)
"""The errors by which zipfile refuses an archive."""


def read_metadata(wheel: BinaryIO, *, max_bytes: int = MAX_METADATA_BYTES) -> bytes | None:
    """
    Return the METADATA of an open wheel, or None if it cannot be read. Blocks for its reads.

    A directory of millions of entries is refused, and so are the unbounded decompressors of zipfile (bzip2 and LZMA:
    3 kB became 6 GB).

    Args:
        max_bytes: a longer METADATA is not read.
    """
    return read_member(wheel, _METADATA, max_bytes=max_bytes)


def read_plain_metadata(wheel: bytes, *, max_bytes: int, skipped: int = 0) -> bytes | None:
    """Return the METADATA of a wheel in memory, or of its end; None if only ``read_metadata`` can tell."""
    return read_plain_member(wheel, _METADATA_BYTES, max_bytes=max_bytes, skipped=skipped)


def locate_metadata(wheel: BinaryIO) -> range | None:
    """Return which bytes of a wheel hold its METADATA, or None if it has none that can be read."""
    try:
        with _open(wheel) as archive:
            if (entry := _entry(archive, _METADATA, MAX_METADATA_BYTES)) is None:
                return None
            start = entry.header_offset
            length = _HEADER_BYTES + len(entry.filename.encode()) + _MAX_EXTRA_BYTES + entry.compress_size
            return range(start, start + length)
    except UNREADABLE:
        return None


def read_member(file: BinaryIO, name: re.Pattern[str], *, max_bytes: int) -> bytes | None:
    """Return the only member of a ZIP archive with such a name; None if there is not one, or it cannot be read."""
    try:
        with _open(file) as archive:
            if (entry := _entry(archive, name, max_bytes)) is None:
                return None
            with archive.open(entry) as member:
                return member.read(max_bytes)
    except UNREADABLE:
        return None


def _open(file: BinaryIO) -> zipfile.ZipFile:
    size = file.seek(0, os.SEEK_END)
    if size > _MAX_DIRECTORY_BYTES and not _has_bounded_directory(file, size):
        raise zipfile.BadZipFile
    return zipfile.ZipFile(file)


def _entry(archive: zipfile.ZipFile, name: re.Pattern[str], max_bytes: int) -> zipfile.ZipInfo | None:
    names = [found for found in archive.namelist() if name.fullmatch(found)]
    if len(names) != 1:
        return None
    entry = archive.getinfo(names[0])
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return None
    # Deflate makes nothing longer than its stored blocks; a larger claim is a lie, and would be requested in full.
    return entry if max(entry.file_size, entry.compress_size) <= max_bytes else None


def _has_bounded_directory(file: BinaryIO, size: int) -> bool:
    """
    Return whether a ZIP archive's directory is small enough to read.

    Everything that zipfile might take for the end record counts. If a ZIP64 locator (APPNOTE 4.3.15) precedes it,
    zipfile follows that locator, so the archive is refused.
    """
    file.seek(max(0, size - MAX_END_BYTES))
    end = file.read()
    # APPNOTE 4.3.16: signature, 8 bytes of counts, then the directory's size
    sizes = [int.from_bytes(end[found.start() + 12 :][:4], "little") for found in re.finditer(b"(?=PK\5\6)", end)]
    return bool(sizes) and max(sizes) <= _MAX_DIRECTORY_BYTES and b"PK\6\7" not in end
