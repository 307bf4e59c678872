"""What the disk says, as what a person can do about it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mirror_syncer.errors import MirrorError, StateError, VolumeError, VolumeFull


@contextmanager
def disk_says(path: Path | str | None = None, *, cannot_be: Literal["read", "written"] = "written") -> Iterator[None]:
    """
    Raise what the disk says, in a block or in a function that this decorates, as a ``VolumeError`` with the remedy.

    Args:
        path: what it is about; otherwise what the system's error names.
    """
    try:
        yield
    except MirrorError:
        raise
    except OSError as error:
        raise _explain(error, path or error.filename or "the volume", cannot_be) from error


@contextmanager
def state_disk_says(path: Path | str) -> Iterator[None]:
    """As ``disk_says``, of what is kept beside the catalog: a ``StateError``."""
    try:
        yield
    except MirrorError:
        raise
    except OSError as error:
        remedy = "make room on, or mend, the disk of MIRROR_STATE"
        raise StateError(f"{path} cannot be written: {error.strerror}; {remedy}") from error


def write_whole(descriptor: int, body: bytes | bytearray) -> None:
    """Write all of it; one ``write`` may take less, on a disk that fills up."""
    view = memoryview(body)
    while view:
        view = view[os.write(descriptor, view) :]


def _explain(error: OSError, path: object, cannot_be: str) -> VolumeError:
    said = f"{path} cannot be {cannot_be}: {error.strerror}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return VolumeFull(f"{said}; grow the disk, or select less in mirror.toml")
        case errno.EROFS | errno.EIO:
            return VolumeError(f"{said}; look at the kernel's log, mend or replace the disk, mount it again")
        case errno.EACCES | errno.EPERM:
            user = f"{os.getuid()}:{os.getgid()}"
            remedy = f"on the host: chown -R {user}, and chmod -R u+rwX, the directory that MIRROR_DATA names"
            return VolumeError(f"{said}; {remedy}")
        case _:
            return VolumeError(said)
