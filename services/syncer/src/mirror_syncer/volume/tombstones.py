"""
Full paths that are empty again.

For a long URL without a file at its full path nginx looks at the short one: of the same name and the same two digits.
Where that may come to be other content, a file that leaves its full path leaves an empty one in ``.gone/`` beside it,
and nginx looks no further: no URL ever changes its bytes.
"""

import hashlib
import os
from pathlib import Path

from mirror_syncer.model.names import Filename, PackagePath, content_digest, short_path
from mirror_syncer.volume.directories import make_directories
from mirror_syncer.volume.durability import Durability


def has_tombstone(web: str, place: PackagePath) -> bool:
    """Return whether a file has left this full path; the mark stays, also when it is back."""
    return os.path.lexists(_mark(web, place))


def leave_tombstone(web: Path, place: PackagePath, *, durability: Durability) -> None:
    """Leave the mark of a file that is about to leave a full path, unless the short one holds the very same content."""
    address, path = content_digest(f"/{place}"), web / place
    if address is None or has_tombstone(str(web), place) or not _exists_at(path):
        return
    short = web / short_path(address, Filename(path.name))
    if _same_file(path, short) or _blake2b(short) == address:
        return
    mark = Path(_mark(str(web), place))
    make_directories(web, PackagePath(str(mark.relative_to(web))), durability=durability)
    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    durability.directory_changed(mark.parent)


def _mark(web: str, place: PackagePath) -> str:
    directory, _, filename = place.rpartition("/")
    return f"{web}/{directory}/.gone/{filename}"


def _exists_at(path: Path) -> bool:
    return os.path.lexists(path) or os.path.lexists(f"{path}.metadata")


def _same_file(one: Path, other: Path) -> bool:
    """Return whether two names are one file's, as those of an adopted one are: nothing needs to be read then."""
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False


def _blake2b(path: Path) -> str | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    except OSError:
        return None  # nothing, or nothing that can be read: a mark too many hides at most what cannot be told
