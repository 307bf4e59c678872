"""The METADATA inside a wheel on disk or in memory, which saves a request for its ``.metadata``."""

import io
from pathlib import Path

from mirror_syncer.model.wheel import MAX_METADATA_BYTES, read_metadata, read_plain_metadata


def wheel_metadata(wheel: Path | bytes, *, max_bytes: int = MAX_METADATA_BYTES) -> bytes | None:
    """
    Return the METADATA of a wheel, or None if it cannot be read. Given a path, it blocks for the disk.

    Args:
        max_bytes: a longer METADATA is not read.
    """
    if isinstance(wheel, bytes) and (body := read_plain_metadata(wheel, max_bytes=max_bytes)) is not None:
        return body
    try:
        with io.BytesIO(wheel) if isinstance(wheel, bytes) else wheel.open("rb") as file:
            return read_metadata(file, max_bytes=max_bytes)
    except OSError:
        return None
