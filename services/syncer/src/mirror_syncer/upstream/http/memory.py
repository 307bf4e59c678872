"""The memory that upstream's pages take, from their first byte until the work on them is done."""

from collections.abc import Iterator
from contextlib import contextmanager

from mirror_syncer.errors import RefusedError

_SMALL_PAGE_BYTES = 4 * 2**20  # bytes of a page; on PyPI a few hundred projects have more


class PageMemory:
    """
    Counts the bytes of all pages under way: together they have no more than one alone may have, but for small ones.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, count: int) -> None:
        """Count bytes that came; ``release`` uncounts them."""
        self._held += count

    def release(self, count: int) -> None:
        """Uncount what was taken."""
        self._held -= count

    def check(self, url: str, size: int) -> None:
        """
        Look whether a page may stay that has come to a size by now.

        Raises:
            RefusedError: it is too large, by itself or together with all others.
        """
        if size > self._most:
            raise RefusedError(f"{url}: the answer is larger than {self._most:,} bytes")
        # 250 kB of gzip become 250 MB; ten at once took 2.4 GB, and HTTP/2 brings eighty.
        if self._held > self._most and size > _SMALL_PAGE_BYTES:
            raise RefusedError(f"{url}: the answers under way are larger than {self._most:,} bytes together")

    @contextmanager
    def holding(self, url: str, size: int) -> Iterator[None]:
        """
        Count a page among those under way for as long as it is worked on, which its downloads may make hours.

        Raises:
            RefusedError: it is one too many.
        """
        self.take(size)
        try:
            self.check(url, size)
            yield
        finally:
            self.release(size)
