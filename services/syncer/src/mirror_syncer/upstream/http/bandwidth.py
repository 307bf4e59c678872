"""A bandwidth limit for all transfers of one event loop; threads share a ``RateLimit``."""

import time


class Bandwidth:
    """
    A rate limit for all transfers together.

    Args:
        bytes_a_second: the rate; None for no limit.
    """

    def __init__(self, bytes_a_second: int | None) -> None:
        self._rate = bytes_a_second
        self._free_at = 0.0

    def wait_seconds(self) -> float:
        """Return for how many seconds to stop reading."""
        return 0.0 if self._rate is None else max(0.0, self._free_at - time.monotonic())

    def record(self, count: int) -> None:
        """Account for received bytes; unused bandwidth expires, so that no burst follows a pause."""
        if self._rate is not None:
            self._free_at = max(time.monotonic(), self._free_at) + count / self._rate
