"""The check that the tree's file system is case-sensitive; some file names on PyPI differ only by case."""

from pathlib import Path

from mirror_syncer.errors import VolumeError

_DIRECTORY = "ab"  # one of the 256 that has no digit in its name
_LOWER, _UPPER = ".letters-probe", ".Letters-Probe"  # hidden, so neither served nor an orphan


def check_case_sensitivity(directory: Path) -> None:
    """
    Check by trial: mount options reveal neither a directory's own setting nor that of a network share's server.

    If one of the 256 package directories exists, it serves as the probe, because a full disk takes no new file.

    Raises:
        VolumeError: the file system ignores case.
    """
    if (directory / _DIRECTORY).is_dir():
        if _is_same(directory / _DIRECTORY, directory / _DIRECTORY.upper()):
            raise _ignores_case(directory)
        return
    probe = directory / _LOWER
    probe.touch()
    try:
        if (directory / _UPPER).exists():
            raise _ignores_case(directory)
    finally:
        probe.unlink(missing_ok=True)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except FileNotFoundError:
        return False


def _ignores_case(directory: Path) -> VolumeError:
    return VolumeError(
        f"{directory} is on a file system that ignores case, so Django-1.0.tar.gz and django-1.0.tar.gz would be "
        "one file: set MIRROR_DATA to a directory on ext4, XFS or another case-sensitive file system"
    )
