"""The METADATA inside a wheel, which saves a request for its ``.metadata``."""

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


def wheel_metadata(wheel: Path | bytes, *, max_bytes: int = MAX_METADATA_BYTES) -> bytes | None:
    """
    Return the METADATA of a wheel (PEP 427), or None if it cannot be read. Given a path, it blocks for the disk.

    Reading is bounded, whatever the archive claims. A directory of millions of entries is refused, and so are the
    unbounded decompressors of zipfile (bzip2 and LZMA: 3 kB became 6 GB).

    Args:
        max_bytes: a longer METADATA is not read.
    """
    try:
        with io.BytesIO(wheel) if isinstance(wheel, bytes) else wheel.open("rb") as file:
            return _read(file, max_bytes)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, ValueError, EOFError, NotImplementedError):
        return None


def _read(file: BinaryIO, max_bytes: int) -> bytes | None:
    size = file.seek(0, os.SEEK_END)
    if size > _MAX_DIRECTORY_BYTES and not _has_bounded_directory(file, size):
        return None
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if _METADATA.fullmatch(name)]
        if len(names) != 1:
            return None
        entry = archive.getinfo(names[0])
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.file_size > max_bytes:
            return None
        with archive.open(entry) as member:
            return member.read(max_bytes)


def _has_bounded_directory(file: BinaryIO, size: int) -> bool:
    """
    Return whether a ZIP archive's directory is small enough to read.

    Everything that zipfile might take for the end record counts. If a ZIP64 locator (APPNOTE 4.3.15) precedes it,
    zipfile follows that locator, so the archive is refused.
    """
    file.seek(max(0, size - _MAX_END_BYTES))
    end = file.read()
    # APPNOTE 4.3.16: signature, 8 bytes of counts, then the directory's size
    sizes = [int.from_bytes(end[found.start() + 12 :][:4], "little") for found in re.finditer(b"(?=PK\5\6)", end)]
    return bool(sizes) and max(sizes) <= _MAX_DIRECTORY_BYTES and b"PK\6\7" not in end
