"""A bound on what is read or fetched in a second, shared by threads."""

import time
from threading import Lock

_PIECE_MOST = 2**20
_PIECES_A_SECOND = 10


class Throttle:
    """
    Lets so many bytes a second pass, those of all threads together; each waits its turn in the order of its calls.

    Args:
        bytes_a_second: None for no limit.

    Attributes:
        piece: how many bytes to take at a time, at most: a tenth of a second's, so that nobody waits long.
    """

    def __init__(self, bytes_a_second: int | None) -> None:
        self._rate = bytes_a_second
        self._free_at = 0.0
        self._guard = Lock()
        self.piece = min(_PIECE_MOST, (bytes_a_second or _PIECE_MOST * _PIECES_A_SECOND) // _PIECES_A_SECOND)

    def take(self, count: int) -> None:
        """Wait until so many bytes more may pass. Blocks: call it in a thread."""
        if self._rate is None:
            return
        with self._guard:
            now = time.monotonic()
            # What was not used is lost: a pause must not be followed by a burst.
            turn = max(now, self._free_at)
            self._free_at = turn + count / self._rate
        if turn > now:
            time.sleep(turn - now)
