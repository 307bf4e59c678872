"""A part of a file (RFC 9110 14): what was asked for, and whether the answer is that."""

import re
from dataclasses import dataclass
from http import HTTPStatus

from mirror_syncer.errors import RefusedError
from mirror_syncer.upstream.http.head import Head

# RFC 9110 14.4; a size that the server does not know, "*", is of no use here
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file, or all of it where the server ignores ranges."""

    body: bytes
    start: int
    """Where they are in the file."""
    total: int
    """The file's size, as the server says."""
    etag: str | None


def part_bound(url: str, head: Head, wanted: range | int, *, max_bytes: int) -> int:
    """Return how many bytes the answer to a request for a part may have."""
    if head.status == HTTPStatus.PARTIAL_CONTENT:
        return len(part_range(url, head, wanted)[0])
    length = head.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > max_bytes:
        raise RefusedError(
            f"{url}: the server ignores Range, and the whole file of {int(length[:20]):,} bytes is too large to read"
        )
    return max_bytes


def part_range(url: str, head: Head, wanted: range | int) -> tuple[range, int]:
    """Return which bytes a 206 has, and the file's size; raise ``RefusedError`` unless they are the wanted ones."""
    said = head.headers.get("content-range", "")
    if (match := _CONTENT_RANGE.fullmatch(said)) is None:
        raise RefusedError(f"{url}: answered 206 with the Content-Range {said[:80]!r}")
    first, last, total = (int(digits) for digits in match.groups())
    asked = range(max(0, total - wanted), total) if isinstance(wanted, int) else wanted
    if (first, last + 1) != (asked.start, min(asked.stop, total)) or first > last:
        raise RefusedError(f"{url}: answered with another range than requested: {said}")
    return range(first, last + 1), total
