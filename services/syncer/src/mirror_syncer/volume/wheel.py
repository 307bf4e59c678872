"""A wheel's own METADATA, which spares a request for its ``.metadata``."""

import io
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_MAX_DIRECTORY_BYTES = 8 * 2**20  # of a ZIP archive; the largest wheel on PyPI has 100,000 entries of 80 bytes
_MAX_END_BYTES = 20 + 22 + 65_535  # ZIP64's locator, the end record and the longest comment
# The longest METADATA on PyPI has under 1 MiB; a bomb would have more.
MAX_METADATA_BYTES = 16 * 2**20


def wheel_metadata(wheel: Path | bytes, *, most: int = MAX_METADATA_BYTES) -> bytes | None:
    """
    Return the METADATA of a wheel (PEP 427), or None where it cannot be read. Of a path it blocks for the disk.

    What is read is bounded, whatever the archive says of itself: a directory of millions of entries, and zipfile's
    unbounded decompressors (bzip2, LZMA: 3 kB became 6 GB), are no wheel's.

    Args:
        most: bytes of a METADATA; a longer one is not read.
    """
    try:
        with io.BytesIO(wheel) if isinstance(wheel, bytes) else wheel.open("rb") as file:
            return _read(file, most)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, ValueError, EOFError, NotImplementedError):
        return None


def _read(file: BinaryIO, most: int) -> bytes | None:
    size = file.seek(0, os.SEEK_END)
    if size > _MAX_DIRECTORY_BYTES and not _has_bounded_directory(file, size):
        return None
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if _METADATA.fullmatch(name)]
        if len(names) != 1:
            return None
        entry = archive.getinfo(names[0])
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.file_size > most:
            return None
        with archive.open(entry) as member:
            return member.read(most)


def _has_bounded_directory(file: BinaryIO, size: int) -> bool:
    """
    Return whether a ZIP archive's directory is of a size that reading it is no danger.

    Whatever zipfile might take for the end record counts. Where a locator of ZIP64's (APPNOTE 4.3.15) stands before it,
    zipfile believes the record that this leads to, and so the archive is not modest.
    """
    file.seek(max(0, size - _MAX_END_BYTES))
    end = file.read()
    # APPNOTE 4.3.16: signature, 8 bytes of counts, then the directory's size
    sizes = [int.from_bytes(end[found.start() + 12 :][:4], "little") for found in re.finditer(b"(?=PK\5\6)", end)]
    return bool(sizes) and max(sizes) <= _MAX_DIRECTORY_BYTES and b"PK\6\7" not in end
