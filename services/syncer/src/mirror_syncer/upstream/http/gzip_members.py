"""Gzip bodies of several members (RFC 1952 2.2), as bgzip writes them; libcurl fails after the first member."""

import zlib
from collections.abc import Iterator

_PIECE_BYTES = 64 * 1024  # per piece, so that the receiver can stop a decompression bomb
_GZIP = 16 + zlib.MAX_WBITS


class GzipError(Exception):
    """Data that is not gzip."""


class GzipMembers:
    """A streaming decompressor for gzip data of several members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def decompress(self, chunk: bytes) -> Iterator[bytes]:
        """
        Decompress the next bytes, and yield the result in pieces of at most 64 KiB.

        Raises:
            GzipError: the data is not gzip.
        """
        try:
            while chunk:
                self._begun = True
                if piece := self._member.decompress(chunk, _PIECE_BYTES):
                    yield piece
                if self._member.eof:
                    chunk = self._member.unused_data
                    self._member, self._begun = zlib.decompressobj(_GZIP), False
                else:
                    chunk = self._member.unconsumed_tail
        except zlib.error as error:
            raise GzipError(f"the body is not valid gzip: {error}") from error

    @property
    def complete(self) -> bool:
        """Whether the last member has ended."""
        return not self._begun
