"""Whether the tree's disk tells small letters from capitals; file names on PyPI differ by nothing else."""

from pathlib import Path

from mirror_syncer.errors import VolumeError

_SMALL, _CAPITAL = ".letters-probe", ".Letters-Probe"  # hidden, so neither served nor an orphan


def check_letters(directory: Path) -> None:
    """
    Try it with a file: what mount tells says nothing of a directory's own setting, or of a network share's server.

    Raises:
        VolumeError: ``Django-1.0.tar.gz`` and ``django-1.0.tar.gz`` would be one file there.
    """
    probe = directory / _SMALL
    probe.touch()
    try:
        if (directory / _CAPITAL).exists():
            raise VolumeError(
                f"{directory} is on a file system that ignores case, where Django-1.0.tar.gz and django-1.0.tar.gz "
                "would be one file: let MIRROR_DATA name a directory on another, such as ext4 or XFS"
            )
    finally:
        probe.unlink(missing_ok=True)
