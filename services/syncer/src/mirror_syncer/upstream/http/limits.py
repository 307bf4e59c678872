"""Limits on requests to upstream: attempts, seconds and bytes."""

from dataclasses import dataclass, replace
from typing import Self

_STREAMS_PER_CONNECTION = 1_000  # that may share a bandwidth: at most 800, plus a margin


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request."""

    attempts: int = 5
    connect_seconds: float = 15
    silence_seconds: float = 30
    """The longest pause between two reads."""
    min_bytes_per_second: int = 1024
    """Average rate, measured after the first minute; a slower server only blocks the connection."""
    initial_wait_seconds: float = 0.5
    """Before the second attempt; doubled before each further one, plus a jitter of up to this value."""
    max_wait_seconds: float = 30
    max_retry_after_seconds: float = 120
    """If a server asks for a longer wait, the next run retries."""
    max_page_bytes: int = 256 * 2**20
    """For one page (one of 100,000 files has about 80 MB), and for all large pages in memory together."""
    max_page_seconds: float = 600
    """For one attempt at a page: nine pages at 2 kB/s would block all others for days."""
    max_file_seconds: float = 36_000
    """
    For a file or the project list, all attempts of a run together: 10 GB at 1.1 kB/s would block a connection
    for 105 days. At the minimum rate it allows 35 MiB; the next run resumes larger files.
    """

    def for_bandwidth(self, bandwidth: int | None) -> Self:
        """Return the limits for a shared bandwidth, where a transfer may be slow because of our own limit."""
        if bandwidth is None:
            return self
        min_bytes_per_second = min(self.min_bytes_per_second, bandwidth // _STREAMS_PER_CONNECTION)
        # A partial download below 32 MiB is not kept, so such a file must complete within one run.
        patience = self.max_file_seconds * self.min_bytes_per_second / max(1, min_bytes_per_second)
        return replace(self, min_bytes_per_second=min_bytes_per_second, max_file_seconds=patience)
