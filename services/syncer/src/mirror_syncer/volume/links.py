"""Links: a hard link to a file of another tree, a symlink for a page's former name."""

import errno
import os
import stat
from pathlib import Path

from mirror_syncer.errors import PathError, VolumeError
from mirror_syncer.volume.disk import explain_disk_errors, unlink


def link(source: str, target: str, *, known: os.stat_result | None = None) -> bool:
    """
    Hard-link a file to a second path.

    Args:
        known: the status of the checked file. A file that has replaced it since, also through a symlinked directory, is
            not linked; nor is anything but a regular file.

    Returns:
        True if the target is this file now; False if another file has the target path.

    Raises:
        PathError: this file cannot be linked.
        VolumeError: no file can be linked.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        with explain_disk_errors(target, cannot_be="read"):
            return os.path.samestat(os.lstat(source), os.lstat(target))
    except OSError as error:
        raise _explain(error, source, target) from error
    with explain_disk_errors(target):
        found = os.lstat(target)
        if stat.S_ISREG(found.st_mode) and (known is None or os.path.samestat(found, known)):
            return True
        unlink(target)
    return False


def forward(path: Path, *, to: Path) -> None:
    """Replace a path by a relative symlink to a page, atomically."""
    target = os.path.relpath(to, path.parent)
    if path.is_symlink() and path.readlink() == Path(target):
        return
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(path)


def _explain(error: OSError, source: str, target: str) -> OSError:
    match error.errno:
        case errno.EXDEV:
            return VolumeError(
                f"{source} and {target} are on different file systems or mounts, which hard links cannot cross: mount "
                "one directory that contains both (MIRROR_DATA, or a directory above it), or move the old tree to the "
                "disk of the new one"
            )
        case errno.EPERM | errno.EACCES:
            user = f"{os.getuid()}:{os.getgid()}"
            return PathError(
                f"{source} cannot be linked to {target}: {error.strerror}. Only the owner may link a file "
                "(fs.protected_hardlinks): run the syncer as the owner (MIRROR_UID, MIRROR_GID), "
                f"or on the host: chown -R {user} the old tree"
            )
        case _:
            try:
                with explain_disk_errors(Path(target)):
                    raise error
            except (PathError, VolumeError) as explained:
                return explained
