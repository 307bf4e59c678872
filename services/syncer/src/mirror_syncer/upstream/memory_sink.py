"""A sink for a small file, in memory."""

from mirror_syncer.errors import FileRejectedError


class MemorySink:
    """
    Receives a download, up to a limit.

    Args:
        what: the download's name in the error of a larger one, as in "its metadata".
    """

    def __init__(self, max_bytes: int, *, what: str) -> None:
        self._max_bytes = max_bytes
        self._what = what
        self._body = bytearray()

    @property
    def body(self) -> bytes:
        """What was received."""
        return bytes(self._body)

    @property
    def position(self) -> int:
        """How many bytes it holds."""
        return len(self._body)

    def restart(self) -> None:
        """Discard them."""
        self._body.clear()

    def write(self, chunk: bytes, /) -> None:
        """Receive the next bytes; raise ``FileRejectedError`` above the limit."""
        if len(self._body) + len(chunk) > self._max_bytes:
            raise FileRejectedError(f"{self._what} has more than {self._max_bytes:,} bytes")
        self._body += chunk
