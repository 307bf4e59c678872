"""
The references of pages to files, and the files in ``packages/`` that none of them names.

References are stored in 256 partitions on disk, eight bytes per file: 20.8 million of them take 166 MB of disk and no
more memory than one partition. Then each of the 256 directories is compared with its partition.

Full paths, ``packages/<2>/<2>/<60>/<file>``, are ignored: a tree that is being adopted holds millions that our pages do
not name yet. So are hidden names: temporary files belong to the process that writes them. Only the markers of held
files are compared with what the pages name as held.
"""

import hashlib
import os
import shutil
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.catalog.state_disk import explain_state_disk_errors
from mirror_syncer.errors import FileRejectedError, InvalidPageError, PathError
from mirror_syncer.model.names import PackagePath, parse_filename
from mirror_syncer.publish import read_places
from mirror_syncer.volume import AnyView, StoredFile

DIRECTORIES = tuple(f"{number:02x}" for number in range(256))
_MAX_KEYS_IN_MEMORY = 4_096  # per partition: 8 MiB for all of them
_METADATA = ".metadata"
_MARKER = ".held/"
_SHORT_PATH_SLASHES = 2


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that neither a page nor the catalog knows, with its metadata if there is some."""

    filename: str
    bytes: int
    alone: bool
    """It is a ``.metadata`` whose file is missing."""

    def place(self, digits: str) -> PackagePath | None:
        """Return its place, or that of the file that the metadata belongs to; None if the name is invalid."""
        try:
            return PackagePath(f"packages/{digits}/{parse_filename(self.filename)}")
        except FileRejectedError:
            return None


class References:
    """
    Collects references, and then finds files without one. Its methods block for the disk.

    Args:
        scratch: a directory of its own, created empty and removed at the end.
        before: a file that was created or changed later than this (seconds since the epoch) is not an orphan yet.

    Attributes:
        unread: published projects whose page is missing or unreadable, so that their references are unknown.
    """

    def __init__(self, scratch: Path, *, view: AnyView, catalog: Catalog, before: float) -> None:
        self._scratch = scratch
        self._view = view
        self._catalog = catalog
        self._before = before
        self._partitions = {digits: array("Q") for digits in DIRECTORIES}
        self.unread: set[NormalizedName] = set()

    def __enter__(self) -> Self:
        shutil.rmtree(self._scratch, ignore_errors=True)  # left by a killed process
        with explain_state_disk_errors(self._scratch):
            self._scratch.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def read(self, names: Iterable[NormalizedName]) -> None:
        """Add the references of these projects' pages."""
        for name in names:
            try:
                found = read_places(self._view, name)
            except (InvalidPageError, PathError):
                self.unread.add(name)
                continue
            if found is None:
                continue
            places, held_files = found
            for place in places:
                self._add(place)
            for held in held_files:
                if held.place is not None:
                    self._add(held.place, prefix=_MARKER)

    def expect(self, names: Iterable[NormalizedName]) -> None:
        """Add published projects without a page to ``unread``."""
        for name in names:
            try:
                there = bool(self._view.page_state(name))
            except PathError:
                there = False
            if not there:
                self.unread.add(name)

    def suspect(self, digits: str) -> None:
        """
        Store the files of a directory that no page has named so far and that the catalog does not know.

        The directory is read before the catalog, since a file is recorded as pending before it gets its name. A file
        that was published since its page was read is cleared by another ``read`` of the page before ``orphans``.

        Raises:
            PathError: the directory cannot be read; none of its files becomes a suspect.
        """
        suspects = list(self._unnamed(digits))
        known = self._catalog.files.known_places(f"packages/{digits}/") if suspects else frozenset()
        with (
            explain_state_disk_errors(self._scratch),
            self._path(digits, "suspects").open("w", errors="surrogateescape") as file,
        ):
            for orphan in suspects:
                if f"packages/{digits}/{orphan.filename}" not in known:
                    file.write(f"{orphan.bytes}\t{int(orphan.alone)}\t{orphan.filename}\0")

    def orphans(self, digits: str) -> list[Orphan]:
        """Return the suspects of a directory that still have no reference."""
        with explain_state_disk_errors(self._scratch):
            path = self._path(digits, "suspects")
            lines = path.read_text(errors="surrogateescape").split("\0")[:-1] if path.exists() else []
        named = self._named(digits) if lines else frozenset()
        fields = (line.split("\t", 2) for line in lines)
        return [
            Orphan(filename, int(size), alone == "1") for size, alone, filename in fields if _key(filename) not in named
        ]

    def stray_markers(self, digits: str) -> list[str]:
        """
        Return the files of a directory that nginx refuses although no page names them as held.

        Raises:
            PathError: the directory cannot be read.
        """
        found = self._view.held_at_short_paths(digits)
        markers = [filename for filename, written_at in found if written_at < self._before]
        named = self._named(digits) if markers else frozenset()
        return [filename for filename in markers if _key(f"{_MARKER}{filename}") not in named]

    def _unnamed(self, digits: str) -> Iterator[Orphan]:
        named = self._named(digits)
        found: dict[str, list[StoredFile | None]] = {}
        for file in self._view.files_at_short_paths(digits):
            base = file.name.removesuffix(_METADATA)
            # Most are named: nothing is noted of them.
            if _key(base) not in named:
                found.setdefault(base, [None, None])[base != file.name] = file
        for base, files in found.items():
            there = [file for file in files if file is not None]
            if max(file.changed_at for file in there) < self._before:
                yield Orphan(base, sum(file.size for file in there), alone=files[0] is None)

    def _add(self, place: PackagePath, *, prefix: str = "") -> None:
        if place.count("/") != _SHORT_PATH_SLASHES:
            return
        _, digits, filename = place.split("/")
        partition = self._partitions[digits]
        partition.append(_key(f"{prefix}{filename}"))
        if len(partition) >= _MAX_KEYS_IN_MEMORY:
            with explain_state_disk_errors(self._scratch), self._path(digits, "named").open("ab") as file:
                partition.tofile(file)
            del partition[:]

    def _named(self, digits: str) -> frozenset[int]:
        kept = array("Q")
        with explain_state_disk_errors(self._scratch):
            path = self._path(digits, "named")
            if path.exists():
                kept.frombytes(path.read_bytes())
        kept.extend(self._partitions[digits])
        return frozenset(kept)

    def _path(self, digits: str, what: str) -> Path:
        return self._scratch / f"{digits}.{what}"


def _key(filename: str) -> int:
    """Hash a file name to eight bytes; a collision hides an orphan, which does no harm."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(filename), digest_size=8).digest())
