"""The memory limit for upstream's pages, from their first byte until they are processed."""

from collections.abc import Iterator
from contextlib import contextmanager

from mirror_syncer.errors import RefusedError

_SMALL_PAGE_BYTES = 4 * 2**20  # on PyPI a few hundred projects have larger pages


class PageMemory:
    """
    A counter of the bytes of all pages in memory. One limit applies to each page, and to all large pages together.

    Args:
        max_bytes: the limit.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = 0

    def add(self, count: int) -> None:
        """Count received bytes; ``release`` subtracts them."""
        self._held += count

    def release(self, count: int) -> None:
        """Subtract bytes that are no longer in memory."""
        self._held -= count

    def check_size(self, url: str, size: int) -> None:
        """
        Check a page's current size.

        Raises:
            RefusedError: it is too large, alone or together with all others.
        """
        if size > self._max_bytes:
            raise RefusedError(f"{url}: the response is larger than {self._max_bytes:,} bytes")
        # 250 kB of gzip become 250 MB; ten pages at once took 2.4 GB, and HTTP/2 allows eighty.
        if self._held > self._max_bytes and size > _SMALL_PAGE_BYTES:
            raise RefusedError(
                f"{url}: all pages in memory together are larger than {self._max_bytes:,} bytes; retried later"
            )

    @contextmanager
    def hold_page(self, url: str, size: int) -> Iterator[None]:
        """
        Count a page as long as it is processed; its downloads may take hours.

        Raises:
            RefusedError: it exceeds the limit.
        """
        self.add(size)
        try:
            self.check_size(url, size)
            yield
        finally:
            self.release(size)
