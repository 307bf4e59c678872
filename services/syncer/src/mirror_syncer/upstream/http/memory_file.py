"""Files that exist in memory only: for libraries that read a path and nothing else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_file(content: bytes) -> Iterator[Path]:
    """Yield the path of a file with this content, which this process alone can open and which vanishes with it."""
    descriptor = os.memfd_create("pypi-mirror", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield Path(f"/proc/self/fd/{descriptor}")  # each opening begins at the first byte
    finally:
        os.close(descriptor)
