"""Whether the tree's disk tells small letters from capitals; file names on PyPI differ by nothing else."""

from pathlib import Path

from mirror_syncer.errors import VolumeError

_DIRECTORY = "ab"  # one of the 256 that has no digit in its name
_SMALL, _CAPITAL = ".letters-probe", ".Letters-Probe"  # hidden, so neither served nor an orphan


def check_case_sensitivity(directory: Path) -> None:
    """
    Try it: what mount tells says nothing of a directory's own setting, or of a network share's server.

    Where one of the 256 directories is there it tells, so that a full disk, which takes no file, is no obstacle.

    Raises:
        VolumeError: ``Django-1.0.tar.gz`` and ``django-1.0.tar.gz`` would be one file there.
    """
    if (directory / _DIRECTORY).is_dir():
        if _is_same(directory / _DIRECTORY, directory / _DIRECTORY.upper()):
            raise _ignores_case(directory)
        return
    probe = directory / _SMALL
    probe.touch()
    try:
        if (directory / _CAPITAL).exists():
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
        f"{directory} is on a file system that ignores case, where Django-1.0.tar.gz and django-1.0.tar.gz "
        "would be one file: let MIRROR_DATA name a directory on another, such as ext4 or XFS"
    )
