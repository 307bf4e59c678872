"""
Markers of held and blocked files, which nginx answers with 403 and the marker's text instead of the file.

The marker of ``packages/<2>/<file>`` is ``packages/<2>/.held/<file>``; that of a full path lies beside it, too. nginx
looks for it before the file, so that a crash which leaves the file there exposes nothing. A marker belongs to a place,
and the catalog lets a place have only one content ever. Therefore the marker answers exactly the URLs of that content.
With a held file X and a file Y of the same name and the same two digits:

============================================  =========  ==============  ==============
state                                         short URL  long URL of X   long URL of Y
============================================  =========  ==============  ==============
X held at its short path, Y unknown           403        403             403 [1]_
X held at its short path, Y at its full path  403        403             Y
X held at its short path, Y removed from its  403        403             404
full path
X held at its full path, Y at its short path  Y          403             Y
X held at both, because an adopted tree still 403        403             as in row 1, 2
has it at its full path, too [2]_
X held at its full path, after its removal    as before  403             as before
X released                                    X          X               as before
============================================  =========  ==============  ==============

.. [1] Y is not on this mirror. nginx knows only the name and two digits of it, and falls back to the short path.
.. [2] ``hold`` and ``release`` find that path by the content's address, which they compute for a file with hard links.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mirror_syncer.model.names import Filename, PackagePath, full_path, short_path
from mirror_syncer.volume.directories import has_symlinked_parent, make_directories
from mirror_syncer.volume.disk import exists, is_absent, unlink
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.hashing import address_of
from mirror_syncer.volume.incoming import store

MAX_TEXT_BYTES = 500
"""The maximum length of a marker's text, its final newline included."""

TEMPORARY_PREFIX = "held-"
"""The names of markers that are being written begin with it."""

_DIRECTORY = ".held"
_SHORT_PATH_SLASHES = 2  # packages/ab/file
_DEFAULT_TEXT = "held by the policy of this mirror"


def hold(
    web: Path, place: PackagePath, text: str, *, address: str | None, staging: Path, durability: Durability
) -> bool:
    """
    Create or replace the marker of a file; the file itself may be there or not.

    Args:
        text: why and until when, for a person. Upstream and operators wrote parts of it, see ``marker_text``.
        address: the content's blake2b-256 if it is known; otherwise this blocks to hash a file that has hard links.
        staging: a private directory of the same file system.

    Returns:
        Whether anything changed.
    """
    body = f"{marker_text(text)}\n".encode()
    changed = False
    for held in (place, *(other for other in _other_places(web, place, address) if _is_file_at(web / other))):
        changed |= _write(web, held, body, staging=staging, durability=durability)
    return changed


def is_held(web: str, place: PackagePath, *, address: str | None) -> bool:
    """Return whether there is something at the marker of a file, or of its copy; ``address`` as in ``hold``."""
    places = [place]
    if address is not None and place == short_path(address, filename := _filename(place)):
        places.append(full_path(address, filename))
    return any(exists(f"{web}/{_marker(one)}") for one in places)


def release(web: Path, place: PackagePath, *, address: str | None, durability: Durability) -> None:
    """Remove the marker of a file if it has one; ``address`` as in ``hold``."""
    for held in (place, *_other_places(web, place, address)):
        marker = _marker(held)
        if has_symlinked_parent(web, marker):
            continue
        path = web / marker
        unlink(path)
        durability.directory_changed(path.parent)
        if held.count("/") > _SHORT_PATH_SLASHES:
            with suppress(OSError):  # not empty: there is a file or a tombstone
                path.parent.rmdir()
                path.parent.parent.rmdir()


def held_text(web: Path, place: PackagePath) -> str | None:
    """
    Return the text of a file's marker without its newline, or None without a marker.

    Raises:
        OSError: the marker cannot be read.
    """
    body = _read(web, _marker(place))
    return None if body is None else body.decode(errors="replace").removesuffix("\n")


def held_at_short_paths(web: Path, digits: str) -> Iterator[tuple[str, os.stat_result]]:
    """
    Yield the names in ``packages/<digits>/.held/`` and their status, in any order. Some may be no markers.

    Raises:
        OSError: the directory cannot be read.
    """
    directory = web / "packages" / digits / _DIRECTORY
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(directory, flags)
    except FileNotFoundError:
        return
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # released in the meantime
                    yield entry.name, entry.stat(follow_symlinks=False)
    finally:
        os.close(descriptor)


def marker_text(text: str) -> str:
    """Return a text as one printable line of at most ``MAX_TEXT_BYTES``, its newline included; never empty."""
    # A terminal shows it, so it must not contain escapes, line breaks, or characters that reverse the direction.
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()) or _DEFAULT_TEXT
    return line.encode()[: MAX_TEXT_BYTES - 1].decode(errors="ignore").rstrip()


def _write(web: Path, place: PackagePath, body: bytes, *, staging: Path, durability: Durability) -> bool:
    marker = _marker(place)
    if _read(web, marker) == body:
        return False
    make_directories(web, marker, durability=durability)
    # Two processes may hold the same file at once, each with a temporary of its own.
    name = f"{hashlib.blake2b(marker.encode(), digest_size=16).hexdigest()}.{os.getpid()}"
    store(body, temporary=f"{staging}/{TEMPORARY_PREFIX}{name}", target=f"{web}/{marker}", durability=durability)
    return True


def _read(web: Path, marker: PackagePath) -> bytes | None:
    if has_symlinked_parent(web, marker):
        return None
    try:
        # Refuse a planted symlink, and a pipe, which would never end.
        descriptor = os.open(web / marker, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if is_absent(error) or isinstance(error, NotADirectoryError) or (web / marker).is_symlink():
            return None
        raise
    try:
        return os.read(descriptor, 2 * MAX_TEXT_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _other_places(web: Path, place: PackagePath, address: str | None) -> tuple[PackagePath, ...]:
    """Return the full path of a file whose place is short, where an adopted tree may have it as well."""
    if address is None and _has_links(web / place):
        address = address_of(web / place)
    if address is None or place != short_path(address, _filename(place)):
        return ()
    return (full_path(address, _filename(place)),)


def _has_links(path: Path) -> bool:
    """Return whether a file has other hard links: an adopted tree's copy, or one in a backup."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def _filename(place: PackagePath) -> Filename:
    return Filename(place.rpartition("/")[2])


def _marker(place: PackagePath) -> PackagePath:
    directory, _, filename = place.rpartition("/")
    return PackagePath(f"{directory}/{_DIRECTORY}/{filename}")


def _is_file_at(path: Path) -> bool:
    return exists(str(path)) or exists(f"{path}.metadata")
