"""A bound on what is read or fetched in a second, shared by threads and processes."""

import multiprocessing
import time

_PIECE_MOST = 2**18  # what fits into a core's cache: hashed from there, a megabyte takes a quarter less
_PIECES_A_SECOND = 10


class Throttle:
    """
    Lets so many bytes a second pass, those of all threads together; each waits its turn in the order of its calls.

    A process that is started with it shares its rate.

    Args:
        bytes_a_second: None for no limit.

    Attributes:
        piece: how many bytes to take at a time, at most: a tenth of a second's, so that nobody waits long.
    """

    def __init__(self, bytes_a_second: int | None) -> None:
        self._rate = bytes_a_second
        # When the next byte may pass, by the monotonic clock, which all processes of a machine share.
        self._free_at = None if bytes_a_second is None else multiprocessing.get_context("spawn").Value("d", 0.0)
        self.piece = min(_PIECE_MOST, (bytes_a_second or _PIECE_MOST * _PIECES_A_SECOND) // _PIECES_A_SECOND)

    def take(self, count: int) -> None:
        """Wait until so many bytes more may pass. Blocks: call it in a thread."""
        if self._rate is None or self._free_at is None:
            return
        with self._free_at.get_lock():
            now = time.monotonic()
            # What was not used is lost: a pause must not be followed by a burst.
            turn = max(now, self._free_at.value)
            self._free_at.value = turn + count / self._rate
        if turn > now:
            time.sleep(turn - now)
