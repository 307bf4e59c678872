"""Files that exist only in memory, for libraries that accept nothing but a path."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_file(content: bytes) -> Iterator[Path]:
    """Yield the path of a file with this content; only this process can open it, and it ends with the process."""
    descriptor = os.memfd_create("pypi-mirror", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield Path(f"/proc/self/fd/{descriptor}")  # each open starts at the first byte
    finally:
        os.close(descriptor)
