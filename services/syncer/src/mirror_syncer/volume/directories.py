"""
The tree's directories: real ones, all of them.

A symlink among them would have us write, and remove, wherever it leads. What is looked for here was planted before: who
writes to the tree while we do needs no symlink.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from mirror_syncer.errors import VolumeError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.volume.disk import explain_disk_errors
from mirror_syncer.volume.durability import Durability


def remove_symlink(directory: Path) -> bool:
    """Return whether a directory is there; a symlink in its place goes, and what it leads to stays as it is."""
    if os.path.islink(directory):  # noqa: PTH114 - which a name that is too long does not raise
        directory.unlink()
    return os.path.isdir(directory)  # noqa: PTH112 - as above


def make_directories(root: Path, place: PackagePath, *, durability: Durability) -> None:
    """Make the directories that a file's place below ``root`` needs, in the stead of symlinks, too."""
    directory = root
    for part in place.split("/")[:-1]:
        directory /= part
        if not remove_symlink(directory):
            directory.mkdir(exist_ok=True)
            durability.directory_changed(directory.parent)


def has_symlinked_parent(root: Path, place: PackagePath) -> bool:
    """Return whether a symlink stands above a file's place below ``root``."""
    return any(os.path.islink(root / parent) for parent in Path(place).parents)  # noqa: PTH114 - as above


def check_no_symlinks(directories: Iterable[Path]) -> None:
    """
    Look at directories that everything lies in; those that are not there are nobody's.

    Raises:
        VolumeError: one is a symlink.
    """
    for directory in directories:
        if directory.is_symlink():
            raise VolumeError(
                f"{directory} is a symlink, and could lead anywhere: put a directory there, and mount what is to lie "
                "on another disk"
            )


def check_writable(directories: Iterable[Path]) -> None:
    """
    Look at directories that everything lies in.

    Raises:
        VolumeError: one is missing, is no directory, or may not be written to.
    """
    for directory in directories:
        with explain_disk_errors(directory, affects_all=True):
            directory.stat()
            if not directory.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
