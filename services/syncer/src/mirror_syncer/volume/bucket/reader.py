"""A file object over a part of the bucket: reads a wheel's end without its beginning."""

import io

from mirror_syncer.volume.bucket.store import ObjectInfo, ObjectStore


class ObjectReader(io.RawIOBase):
    """
    An object as a seekable file; each read is a request, so put a buffer before it.

    Args:
        info: what the store says about the object.
    """

    def __init__(self, store: ObjectStore, info: ObjectInfo) -> None:
        super().__init__()
        self._store = store
        self._info = info
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position, and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._info.size}[whence]
        if start + offset < 0:
            raise ValueError("negative position")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override] # typeshed's WriteableBuffer is private
        """Read into a buffer, and return how many bytes; 0 at the end."""
        length = min(len(buffer), self._info.size - self._position)
        if length <= 0:
            return 0
        body = self._store.get_range(self._info.key, start=self._position, length=length) or b""
        buffer[: len(body)] = body
        self._position += len(body)
        return len(body)
