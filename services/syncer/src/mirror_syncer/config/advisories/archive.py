"""The documents in a zip, a tar or a file of JSON, read as a stream and within bounds."""

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeAlias

import msgspec

from mirror_syncer.config.advisories.bounds import ArchiveError, Budget
from mirror_syncer.upstream.text import clean_line

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK_BYTES = 512  # of a tar
_ZIP, _EMPTY_ZIP, _GZIP, _BOM = b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"\xef\xbb\xbf"
_CHUNK_BYTES = 2**18
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for content that is wrong.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,  # the end of the file, within a member
    NotImplementedError,  # a later version of the format, or data for a patch
    OverflowError,  # an offset that no file has
    RuntimeError,  # an encrypted member
    struct.error,  # an extra field that is too short
    ValueError,  # a name that is not UTF-8, or an offset before the beginning
    zlib.error,
)


class Document(NamedTuple):
    """A JSON document, and where it is from."""

    where: str
    content: bytes


class _Counted(io.RawIOBase):
    """
    Content that is counted as it is read.

    Args:
        source: the content, decompressed.
        file: the file on the disk; its position says how many compressed bytes were read.
    """

    def __init__(self, source: BinaryIO | gzip.GzipFile, file: BinaryIO, budget: Budget) -> None:
        self._source = source
        self._file = file
        self._budget = budget
        self._received = 0

    def readable(self) -> bool:
        """Return True: the content is read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read the next bytes."""
        view = memoryview(buffer)
        try:
            chunk = self._source.read(min(len(view), _CHUNK_BYTES))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ArchiveError(f"not a whole gzip file ({clean_line(str(error))[:120]})") from None
        view[: len(chunk)] = chunk
        self._received += len(chunk)
        self._budget.add_content(len(chunk))
        self._budget.check_ratio(self._received, self._file.tell())
        return len(chunk)


class _Object(msgspec.Struct, gc=False):
    """A JSON object of which nothing is read, so that it takes 16 bytes."""


_Stream: TypeAlias = "io.BufferedReader[_Counted]"


def read_documents(path: Path, budget: Budget, *, name: str) -> Iterator[Document]:
    """
    Yield the JSON documents of a file, whose content tells its format.

    Nothing is unpacked to the disk, so the paths in an archive are only text. An archive inside it is not opened.

    Args:
        name: the file's name in messages.

    Raises:
        ArchiveError: it cannot be read, or exceeds a bound. Documents before that have been yielded.
    """
    try:
        _check_file(path.stat(), budget)
        with path.open("rb") as file:
            for where, content in _documents(file, budget):
                yield Document(f"{name}{where}", content)
    except ArchiveError as error:
        raise ArchiveError(f"{name}: {error}") from None
    except OSError as error:
        raise ArchiveError(f"{name}: cannot be read ({error.strerror or error})") from error


def _check_file(status: os.stat_result, budget: Budget) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ArchiveError("not a regular file")
    if status.st_size > budget.bounds.file_bytes:
        raise ArchiveError(f"more than {budget.bounds.file_bytes:,} bytes")


def _documents(file: BinaryIO, budget: Budget) -> Iterator[tuple[str, bytes]]:
    start = file.read(_BLOCK_BYTES)
    file.seek(0)
    if start.startswith((_ZIP, _EMPTY_ZIP)):
        yield from _in_zip(file, budget)
        return
    source = gzip.GzipFile(fileobj=file) if start.startswith(_GZIP) else file
    with closing(io.BufferedReader(_Counted(source, file, budget), _CHUNK_BYTES)) as stream:
        header = _tar_header(stream.peek(_BLOCK_BYTES)[:_BLOCK_BYTES])
        yield from _in_json(stream, budget) if header is None else _in_tar(stream, budget)


def _in_zip(file: BinaryIO, budget: Budget) -> Iterator[tuple[str, bytes]]:
    reads = _BoundedReads(file, budget.bounds.directory_bytes)
    try:
        archive = zipfile.ZipFile(reads)
    except ArchiveError:
        raise
    except _ZIP_ERRORS as error:
        raise ArchiveError(f"not a whole zip file ({clean_line(str(error))[:120]})") from None
    reads.longest = budget.bounds.file_bytes  # a member is read up to its size, which is checked
    for member in archive.infolist():
        budget.add_member()
        if member.is_dir() or not member.filename.endswith(".json"):
            continue
        where = f", {clean_line(member.filename)[:120]}"
        if member.compress_type not in _ZIP_METHODS:
            raise ArchiveError(f"compressed in another way than deflate{where}")
        budget.check_member(member.file_size)
        budget.check_ratio(member.file_size, member.compress_size)
        budget.add_content(member.file_size)
        try:
            with archive.open(member) as opened:
                content = opened.read(member.file_size)  # without a number, it would decompress more than declared
        except _ZIP_ERRORS as error:
            raise ArchiveError(f"not a whole zip file ({clean_line(str(error))[:120]}{where})") from None
        yield where, content


def _tar_header(block: bytes) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None


def _in_tar(stream: _Stream, budget: Budget) -> Iterator[tuple[str, bytes]]:
    # Not by tarfile.open, which reads headers of any size into memory. Headers with long names, and all else that is no
    # file, are skipped by their size.
    while (block := stream.read(_BLOCK_BYTES)).strip(b"\0"):
        info = _tar_header(block)
        if info is None or info.size < 0:
            raise ArchiveError("not a whole tar file")
        budget.add_member()
        padding = -info.size % _BLOCK_BYTES
        if not info.isreg():
            _skip(stream, info.size + padding)
            continue
        budget.check_member(info.size)
        content = stream.read(info.size)
        _skip(stream, padding + info.size - len(content))
        if content.lstrip().startswith(b"{"):  # a name may be cut, and its suffix missing
            yield f", {clean_line(info.name)[:120]}", content
    if len(block) < _BLOCK_BYTES:
        raise ArchiveError("not a whole tar file")


def _skip(stream: _Stream, count: int) -> None:
    while count > 0:
        skipped = len(stream.read(min(count, _CHUNK_BYTES)))
        if not skipped:
            raise ArchiveError("not a whole tar file")
        count -= skipped


def _in_json(stream: _Stream, budget: Budget) -> Iterator[tuple[str, bytes]]:
    """Yield the records of a document, of an array, or of lines."""
    first = _read_line(stream, budget)
    if not first.removeprefix(_BOM).lstrip().startswith((b"{", b"[")):
        raise ArchiveError("neither JSON nor a zip or tar file")
    first = first.removeprefix(_BOM)
    if first.startswith(b"{") and _is_json(first):
        yield from _in_lines(first, stream, budget)
        return
    content = first + stream.read(budget.bounds.member_bytes + 1 - len(first))
    budget.check_member(len(content))
    if not first.lstrip().startswith(b"["):
        budget.add_member()
        yield "", content
        return
    try:
        for _ in msgspec.json.decode(content, type=list[_Object]):  # the content of each would take 80 bytes
            budget.add_member()
        records = msgspec.json.decode(content, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(f"not valid JSON ({clean_line(str(error))[:120]})") from None
    for number, record in enumerate(records, start=1):
        yield f", record {number}", bytes(record)


def _in_lines(first: bytes, stream: _Stream, budget: Budget) -> Iterator[tuple[str, bytes]]:
    number, line, following = 1, first, _read_line(stream, budget)
    only = not following
    while line:
        if line.strip():
            budget.add_member()
            yield "" if only else f", line {number}", line
        number, line, following = number + 1, following, _read_line(stream, budget)


def _read_line(stream: _Stream, budget: Budget) -> bytes:
    line = stream.readline(budget.bounds.member_bytes + 1)
    budget.check_member(len(line))
    return line


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


class _BoundedReads(io.RawIOBase):
    """A file for ``zipfile``, which reads the directory of a zip at once, and all its entries into memory."""

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self._file = file
        self.longest = longest

    def readable(self) -> bool:
        """Return True: the file is read."""
        return True

    def seekable(self) -> bool:
        """Return True: the directory is at the end."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def read(self, count: int | None = -1) -> bytes:
        """Return the next bytes; refuse to return very many."""
        if count is None or count < 0:
            count = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if count > self.longest:
            raise ArchiveError(f"its directory has more than {self.longest:,} bytes")
        return self._file.read(count)
