"""
Tombstones of files removed from their full paths.

If a long URL has no file at its full path, nginx falls back to the short path (same file name, same two digits), which
may hold other content. A removed file therefore leaves an empty file in ``.gone/``, which stops the fallback: no URL
ever changes its content.
"""

import os
from pathlib import Path

from mirror_syncer.model.names import Filename, PackagePath, content_digest, short_path
from mirror_syncer.volume.directories import make_directories
from mirror_syncer.volume.disk import exists
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.hashing import address_of


def has_tombstone(web: str, place: PackagePath) -> bool:
    """Return whether a file was removed from this full path; the tombstone stays even after it returns."""
    return exists(_tombstone(web, place))


def leave_tombstone(web: Path, place: PackagePath, *, durability: Durability) -> None:
    """Create the tombstone of a file before its removal, unless the short path holds the same content."""
    address, path = content_digest(f"/{place}"), web / place
    if address is None or has_tombstone(str(web), place) or not _exists_at(path):
        return
    short = web / short_path(address, Filename(path.name))
    # A needless tombstone of an unreadable file hides only content that cannot be verified.
    if _same_file(path, short) or address_of(short) == address:
        return
    tombstone = Path(_tombstone(str(web), place))
    make_directories(web, PackagePath(str(tombstone.relative_to(web))), durability=durability)
    os.close(os.open(tombstone, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    durability.directory_changed(tombstone.parent)


def _tombstone(web: str, place: PackagePath) -> str:
    directory, _, filename = place.rpartition("/")
    return f"{web}/{directory}/.gone/{filename}"


def _exists_at(path: Path) -> bool:
    return exists(str(path)) or exists(f"{path}.metadata")


def _same_file(one: Path, other: Path) -> bool:
    """Return whether two paths are hard links to one file, as after an adoption; then no hash is needed."""
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False
