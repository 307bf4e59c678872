"""A rate limit for reading, shared by the threads of a process."""

import threading
import time

_MAX_PIECE_BYTES = 2**20  # threads exchange the GIL once a piece, which slows smaller ones by a tenth
_PIECES_PER_SECOND = 10


class RateLimit:
    """
    Limits the bytes per second of all threads together; threads wait in the order of their calls.

    Attributes:
        rate: bytes per second, None for no limit; it may be changed at any time.
    """

    def __init__(self, rate: int | None = None) -> None:
        self.rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the next byte may be read, by the monotonic clock

    @property
    def piece(self) -> int:
        """The most bytes to take at a time: those of a tenth of a second, so that no thread waits long."""
        return min(_MAX_PIECE_BYTES, (self.rate or _MAX_PIECE_BYTES * _PIECES_PER_SECOND) // _PIECES_PER_SECOND)

    def take(self, count: int) -> None:
        """Wait until so many more bytes may be read. Blocks: call it in a thread."""
        if (rate := self.rate) is None:
            return
        with self._lock:
            now = time.monotonic()
            # Unused bandwidth is lost, so that no burst follows a pause.
            start = max(now, self._free_at)
            self._free_at = start + count / rate
        if start > now:
            time.sleep(start - now)
