"""Bodies packed by gzip in several members (RFC 1952 2.2), as bgzip makes them; libcurl reads the first and refuses."""

import zlib
from collections.abc import Iterator

_PIECE_BYTES = 64 * 1024  # at a time: what takes them decides when there are too many
_GZIP = 16 + zlib.MAX_WBITS


class GzipError(Exception):
    """What came is no gzip."""


class GzipMembers:
    """Unpacks the members of a gzip, one after the other, as their bytes come."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def decompress(self, chunk: bytes) -> Iterator[bytes]:
        """
        Yield what the next bytes hold, in pieces that fit into memory.

        Raises:
            GzipError: it is no gzip.
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
            raise GzipError(f"it is not packed as gzip: {error}") from error

    @property
    def complete(self) -> bool:
        """Whether no member has begun and not ended."""
        return not self._begun
