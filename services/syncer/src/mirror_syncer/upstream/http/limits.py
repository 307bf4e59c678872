"""How much patience there is with the upstream: attempts, seconds and bytes."""

from dataclasses import dataclass, replace
from typing import Self

_STREAMS_PER_CONNECTION = 1_000  # that may share a bandwidth: 800, and some room


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take."""

    attempts: int = 5
    connect_seconds: float = 15
    silence_seconds: float = 30
    """The longest pause between two reads."""
    min_bytes_per_second: int = 1024
    """Over the first minute and ever after: who drips slower is holding the connection, not using it."""
    initial_wait_seconds: float = 0.5
    """Before the second attempt, doubled before each further one; each with a jitter of as much on top."""
    max_wait_seconds: float = 30
    max_retry_after_seconds: float = 120
    """A server that wants a longer rest gets it: until the next run."""
    max_page_bytes: int = 256 * 2**20
    """A page of 100,000 files has about 80 MB. All that are under way have no more together, but for small ones."""
    max_page_seconds: float = 600
    """For a page in one attempt: nine that come at 2 kB/s would hold up all others for days."""
    max_file_seconds: float = 36_000
    """
    For a file, or the list of projects, in one turn, all attempts together: 10 GB at 1.1 kB/s would hold its connection
    for 105 days. At the slowest rate it is 35 MiB; of larger files what has arrived is kept, so slow lines go on later.
    """

    def for_bandwidth(self, bandwidth: int | None) -> Self:
        """Return what holds where all streams share a bandwidth: who is slow because we are must not be blamed."""
        if bandwidth is None:
            return self
        min_bytes_per_second = min(self.min_bytes_per_second, bandwidth // _STREAMS_PER_CONNECTION)
        # What is not kept for the next turn, up to 32 MiB, must come whole in one.
        patience = self.max_file_seconds * self.min_bytes_per_second / max(1, min_bytes_per_second)
        return replace(self, min_bytes_per_second=min_bytes_per_second, max_file_seconds=patience)
