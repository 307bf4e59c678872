"""The METADATA of a wheel that is still upstream: by a few requests for parts of the file."""

import asyncio
import io
import os
from collections.abc import Callable

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.wheel import MAX_METADATA_BYTES, locate_metadata, read_metadata
from mirror_syncer.upstream.http.part import Part
from mirror_syncer.upstream.index import Index

# At least ``wheel.MAX_END_BYTES``, which zipfile may search. Small wheels come whole; of numpy's, with 1,062 members,
# the directory has 86 kB.
TAIL_BYTES = 96 * 1024
# Before a directory that is larger: a wheel's METADATA is written among the last members.
_MARGIN_BYTES = 64 * 1024
# Where a server ignores ranges
MAX_WHOLE_BYTES = 10_000_000
_MAX_REQUESTS = 4


async def read_remote_metadata(
    index: Index, url: str, *, size: int | None, priority: Priority, count: Callable[[int], None]
) -> bytes:
    """
    Return the METADATA of a wheel, mostly by one or two requests of 100 kB together.

    Nothing vouches for it but the server: the wheel's digest needs the whole wheel.

    Args:
        size: the wheel's, if its page says it; some servers know no range that counts from the end.
        count: called with the bytes of each response.

    Raises:
        UpstreamError: a request failed, or the server sent another part than requested.
        FileRejectedError: the wheel cannot be read.
    """
    wheel: _PartialFile | None = None
    wanted: range | int = TAIL_BYTES if not size else range(max(0, size - TAIL_BYTES), size)
    for _ in range(_MAX_REQUESTS):
        part = await index.file_part(url, wanted, max_bytes=MAX_WHOLE_BYTES, priority=priority)
        count(len(part.body))
        if wheel is None or wheel.total == len(part.body):
            wheel = _PartialFile(part)
        else:
            wheel.add(part)
        found = await asyncio.to_thread(_read, wheel)
        if isinstance(found, bytes):
            return found
        wanted = found
    raise FileRejectedError(f"its METADATA was not found by {_MAX_REQUESTS} requests for parts of the wheel")


def _read(wheel: "_PartialFile") -> bytes | range:
    """Return the METADATA, or the bytes of the wheel that are needed next."""
    try:
        member = locate_metadata(wheel)
    except _MissingError as error:
        return range(max(0, error.missing.start - _MARGIN_BYTES), error.missing.stop)
    if member is not None:
        member = range(member.start, min(member.stop, wheel.total))
        if (missing := wheel.missing(member)) is not None:
            return missing
        try:
            body = read_metadata(wheel)
        except _MissingError:
            body = None
        if body is not None:
            return body
    raise FileRejectedError(f"no METADATA of at most {MAX_METADATA_BYTES:,} bytes can be read in the wheel")


class _MissingError(Exception):
    """Bytes that were not requested yet; no OSError, which zipfile would take for a damaged archive."""

    def __init__(self, missing: range) -> None:
        super().__init__(missing)
        self.missing = missing


class _PartialFile(io.BytesIO):
    """A file of which some parts are known, in memory; reading others raises ``_MissingError``."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.total = part.total
        self._etag = part.etag
        self._parts = [part]
        self._at = 0

    def add(self, part: Part) -> None:
        """Add another part of the same file."""
        if part.total != self.total or (None not in (part.etag, self._etag) and part.etag != self._etag):
            raise FileRejectedError("it changed between two requests for parts of it")
        self._parts.append(part)

    def missing(self, wanted: range) -> range | None:
        """Return which bytes of a range are unknown, as one range; None if all are known."""
        start, stop = wanted.start, wanted.stop
        for part in self._parts * 2:  # in any order
            end = part.start + len(part.body)
            if part.start <= start < end:
                start = end
            if part.start < stop <= end:
                stop = part.start
        return range(start, stop) if start < stop else None

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.total}[whence]
        if base + offset < 0:
            raise OSError("a position before the file")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        start = min(self._at, self.total)
        stop = self.total if size is None or size < 0 else min(self.total, start + size)
        if (missing := self.missing(range(start, stop))) is not None:
            raise _MissingError(missing)
        self._at = stop
        return self._join(start, stop)

    def _join(self, start: int, stop: int) -> bytes:
        pieces = list[bytes]()
        while start < stop:
            part = next(one for one in self._parts if one.start <= start < one.start + len(one.body))
            piece = part.body[start - part.start : stop - part.start]
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)
