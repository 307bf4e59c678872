"""A bandwidth, shared by the transfers of an event loop; threads share a ``RateLimit``."""

import time


class Bandwidth:
    """
    Says when the next bytes may be taken, so that all transfers together keep within a rate.

    Args:
        bytes_a_second: the rate; None: as many as come.
    """

    def __init__(self, bytes_a_second: int | None) -> None:
        self._rate = bytes_a_second
        self._free_at = 0.0

    def wait(self) -> float:
        """Return for how many seconds nothing may be taken."""
        return 0.0 if self._rate is None else max(0.0, self._free_at - time.monotonic())

    def took(self, count: int) -> None:
        """Account for bytes; what was not used is lost, so that no pause is followed by a burst."""
        if self._rate is not None:
            self._free_at = max(time.monotonic(), self._free_at) + count / self._rate
