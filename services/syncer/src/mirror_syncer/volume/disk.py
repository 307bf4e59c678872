"""
What the disk says, as what a person can do about it.

Here an error is judged: is it one path's, or everybody's? A name that is too long, a file that may not be read, a bad
sector are one path's. A full disk and a disk that is read-only are everybody's; so is a missing tree, which
``Volume.check_usable`` finds.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mirror_syncer.errors import MirrorError, PathError, VolumeError, VolumeFullError

MAKE_ROOM = "grow the disk, or select less in mirror.toml; `mirrorctl collect --now` frees what waits for its grace"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# A name that the file system could not hold belongs to nothing, like one that it does not have.
_ABSENT = frozenset({errno.ENOENT, errno.ENAMETOOLONG})


@contextmanager
def explain_disk_errors(
    path: Path | str | None = None, *, cannot_be: Literal["read", "written"] = "written", affects_all: bool = False
) -> Iterator[None]:
    """
    Raise what the disk says, in a block or in a function that this decorates, with the remedy.

    It is a ``VolumeError`` where it concerns everybody, and a ``PathError`` where it concerns one path alone.

    Args:
        path: what it is about; otherwise what the system's error names.
        affects_all: the path is one that everything depends on, so that any error concerns everybody.
    """
    try:
        yield
    except MirrorError:
        raise
    except OSError as error:
        told = _explain(error, path or error.filename or "the volume", cannot_be)
        if error.errno in _FULL:
            raise VolumeFullError(told) from error
        if affects_all or error.errno == errno.EROFS:
            raise VolumeError(told) from error
        raise PathError(told) from error


def is_absent(error: OSError) -> bool:
    """Return whether an error says that nothing lies at a path."""
    return error.errno in _ABSENT


def unlink(path: Path | str) -> None:
    """Remove a name; nothing happens where nothing has it."""
    try:
        os.unlink(path)  # noqa: PTH108 - text, see Tree
    except OSError as error:
        if not is_absent(error):
            raise


def write_whole(descriptor: int, body: bytes | bytearray) -> None:
    """Write all of it; one ``write`` may take less, on a disk that fills up."""
    view = memoryview(body)
    while view:
        view = view[os.write(descriptor, view) :]


def _explain(error: OSError, path: object, cannot_be: str) -> str:
    said = f"{path} cannot be {cannot_be}: {error.strerror}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"{said}; {MAKE_ROOM}"
        case errno.EROFS | errno.EIO:
            return f"{said}; look at the kernel's log, mend or replace the disk, mount it again"
        case errno.EACCES | errno.EPERM:
            user = f"{os.getuid()}:{os.getgid()}"
            if "/pypi/" in str(path):  # other mirrors may lie beside it, and keep their owners
                return f"{said}; on the host: chown -R {user}, and chmod -R u+rwX, pypi/ below MIRROR_DATA"
            return f"{said}; on the host: chown {user}, and chmod u+rwx, the directory that MIRROR_DATA names"
        case _:
            return said
