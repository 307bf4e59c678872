"""
The tree's directories, and checks against symlinks among them.

A symlink would redirect writes and removals out of the tree. The checks find symlinks planted earlier; an attacker who
can write to the tree during a run needs no symlink.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from mirror_syncer.errors import VolumeError
from mirror_syncer.model.names import PackagePath
from mirror_syncer.volume.disk import exists, explain_disk_errors
from mirror_syncer.volume.durability import Durability


def remove_symlink(directory: str) -> bool:
    """Remove a symlink in a directory's place, but not its target; return whether a real directory is there."""
    if not exists(directory):  # usual, and two calls that raise and catch would take four times as long
        return False
    if os.path.islink(directory):  # noqa: PTH114 - does not raise if the name is too long
        os.unlink(directory)  # noqa: PTH108 - text: most calls find nothing
    return os.path.isdir(directory)  # noqa: PTH112 - as above


def make_directories(root: Path, place: PackagePath, *, durability: Durability) -> None:
    """Create the directories of a file's place below ``root``, replacing symlinks."""
    directory = root
    for part in place.split("/")[:-1]:
        directory /= part
        if not remove_symlink(str(directory)):
            directory.mkdir(exist_ok=True)
            durability.directory_changed(directory.parent)


def has_symlinked_parent(root: Path, place: PackagePath) -> bool:
    """Return whether a directory between ``root`` and a file's place is a symlink."""
    return any(os.path.islink(root / parent) for parent in Path(place).parents)  # noqa: PTH114 - as above


def check_no_symlinks(directories: Iterable[Path]) -> None:
    """
    Check that none of these directories is a symlink; missing ones pass.

    Raises:
        VolumeError: one is a symlink.
    """
    for directory in directories:
        if directory.is_symlink():
            raise VolumeError(
                f"{directory} is a symlink, and could lead anywhere: replace it by a directory, and mount the other "
                "disk there"
            )


def missing_directories(parent: Path, names: frozenset[str]) -> list[str]:
    """
    Return which of these names in a directory are no directories, sorted; all if it is missing itself.

    Reading the directory takes a tenth of the time of looking at 256 names one by one.

    Raises:
        VolumeError: one is a symlink.
    """
    try:
        with os.scandir(parent) as found:
            entries = [entry for entry in found if entry.name in names]
    except (FileNotFoundError, NotADirectoryError):
        return sorted(names)
    check_no_symlinks(parent / entry.name for entry in entries if entry.is_symlink())
    return sorted(names - {entry.name for entry in entries if entry.is_dir()})


def check_writable(directories: Iterable[Path]) -> None:
    """
    Check that these directories are writable.

    Raises:
        VolumeError: one is missing, is not a directory, or is not writable.
    """
    for directory in directories:
        with explain_disk_errors(directory, affects_all=True):
            directory.stat()
            if not directory.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
