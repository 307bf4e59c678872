"""A bound on what is read in a second, shared by the threads of a process."""

import threading
import time

_PIECE_MOST = 2**18  # what fits into a core's cache: hashed from there, a megabyte takes a quarter less
_PIECES_A_SECOND = 10


class RateLimit:
    """
    Lets so many bytes a second pass, those of all threads together; each waits its turn in the order of its calls.

    Attributes:
        rate: bytes a second, None for no limit; it may be changed at any time.
    """

    def __init__(self, rate: int | None = None) -> None:
        self.rate = rate
        self._turns = threading.Lock()
        self._free_at = 0.0  # when the next byte may pass, by the monotonic clock

    @property
    def piece(self) -> int:
        """How many bytes to take at a time, at most: a tenth of a second's, so that nobody waits long."""
        return min(_PIECE_MOST, (self.rate or _PIECE_MOST * _PIECES_A_SECOND) // _PIECES_A_SECOND)

    def take(self, count: int) -> None:
        """Wait until so many bytes more may pass. Blocks: call it in a thread."""
        if (rate := self.rate) is None:
            return
        with self._turns:
            now = time.monotonic()
            # What was not used is lost: a pause must not be followed by a burst.
            turn = max(now, self._free_at)
            self._free_at = turn + count / rate
        if turn > now:
            time.sleep(turn - now)
