"""Second names: a hard link for a file that lies in another tree, a symlink for a page that had another name."""

import errno
import os
import stat
from pathlib import Path

from mirror_syncer.errors import PathError, VolumeError
from mirror_syncer.volume.disk import explain_disk_errors, unlink


def link(source: str, target: str, *, known: os.stat_result | None = None) -> bool:
    """
    Give a file a second name.

    Args:
        known: the file that was looked at. What has come to lie there since then, or is reached by a directory that is
            a symlink by now, gets no name here; nor does anything that is no plain file.

    Returns:
        Whether it has that name now; False where something else has it.

    Raises:
        PathError: the kernel says no to this file.
        VolumeError: it says no to all of them.
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
    """Make a path a relative symlink to a page, in one step."""
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
                f"{source} and {target} are on two file systems, or two mounts of one, and a hard link reaches "
                "across neither: give the container one mount that holds both (MIRROR_DATA, or a directory above), or "
                "move the old tree to the disk of the new one"
            )
        case errno.EPERM | errno.EACCES:
            user = f"{os.getuid()}:{os.getgid()}"
            return PathError(
                f"{source} cannot be linked to {target}: {error.strerror}. Only its owner may link a file "
                "(fs.protected_hardlinks), or write to a directory: run the syncer as theirs (MIRROR_UID, MIRROR_GID), "
                f"or on the host: chown -R {user} the old tree"
            )
        case _:
            try:
                with explain_disk_errors(Path(target)):
                    raise error
            except (PathError, VolumeError) as explained:
                return explained
