"""
Which files of ``packages/`` does nobody know?

Places that pages name are kept in 256 partitions on disk, eight bytes a file, so that 20.8 million of them need 166 MB
of disk, and never more memory than one partition; then the 256 directories are compared with them, one by one.

Full paths, ``packages/<2>/<2>/<60>/<file>``, are left alone: a tree that is being adopted holds millions that no page
of ours names yet. So are hidden names: temporaries belong to whoever writes them.
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
from mirror_syncer.publish import read_published
from mirror_syncer.volume import View, explain_disk_errors

DIRECTORIES = tuple(f"{number:02x}" for number in range(256))
_KEPT_IN_MEMORY = 4_096  # keys a partition: 8 MiB over all of them
_METADATA = ".metadata"
_SHORT = 2  # slashes of a short path


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that nobody knows, with its metadata if it has some."""

    filename: str
    bytes: int
    alone: bool
    """It is a ``.metadata`` whose file is gone."""

    def place(self, digits: str) -> PackagePath | None:
        """Return its place, or that of the file whose metadata it is; None of a name that none of ours could be."""
        try:
            return PackagePath(f"packages/{digits}/{parse_filename(self.filename)}")
        except FileRejectedError:
            return None


class References:
    """
    Counts what is named, and then finds what is not. Its methods block for the disk.

    Args:
        scratch: a directory of its own, made anew and removed in the end.
        before: a file that came, or was touched, later than that (seconds since the epoch) is nobody's orphan yet.

    Attributes:
        unread: projects whose page should be there and cannot be read: whatever they name is not known.
    """

    def __init__(self, scratch: Path, *, view: View, catalog: Catalog, before: float) -> None:
        self._scratch = scratch
        self._view = view
        self._catalog = catalog
        self._before = before
        self._partitions = {digits: array("Q") for digits in DIRECTORIES}
        self.unread: set[NormalizedName] = set()

    def __enter__(self) -> Self:
        shutil.rmtree(self._scratch, ignore_errors=True)  # of a process that was killed
        with explain_state_disk_errors(self._scratch):
            self._scratch.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def read(self, names: Iterable[NormalizedName]) -> None:
        """Note what these projects' pages name."""
        for name in names:
            try:
                published = read_published(self._view, name)
            except (InvalidPageError, PathError):
                self.unread.add(name)
                continue
            for place in published.places.values() if published else ():
                if place.count("/") == _SHORT:
                    self._note(place)

    def expect(self, names: Iterable[NormalizedName]) -> None:
        """Note which of these projects, all published by the catalog's account, have no page."""
        for name in names:
            try:
                there = bool(self._view.page_state(name))
            except PathError:
                there = False
            if not there:
                self.unread.add(name)

    def suspect(self, digits: str) -> None:
        """
        Keep, of one directory, what no page named so far and the catalog does not know.

        Files first, then the catalog: a file whose publication is under way is pending from before it has a name. One
        whose publication ended since its page was read is found out by ``read`` again, and ``orphans`` after it.

        Raises:
            PathError: the directory cannot be read; none of its files is a suspect.
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
        """Return the suspects of a directory that no page names after all."""
        with explain_state_disk_errors(self._scratch):
            path = self._path(digits, "suspects")
            lines = path.read_text(errors="surrogateescape").split("\0")[:-1] if path.exists() else []
        named = self._named(digits) if lines else frozenset()
        fields = (line.split("\t", 2) for line in lines)
        return [
            Orphan(filename, int(size), alone == "1") for size, alone, filename in fields if _key(filename) not in named
        ]

    def _unnamed(self, digits: str) -> Iterator[Orphan]:
        named = self._named(digits)
        found: dict[str, list[os.stat_result | None]] = {}
        with explain_disk_errors(cannot_be="read"):
            try:
                entries = os.scandir(self._view.web / "packages" / digits)
            except FileNotFoundError:
                return
            with entries:
                for entry in entries:
                    base = entry.name.removesuffix(_METADATA)
                    if entry.name.startswith(".") or _key(base) in named or not entry.is_file(follow_symlinks=False):
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # it is gone, or a verify tells of it
                    # ctime: mtime is the time of upload
                    found.setdefault(base, [None, None])[base != entry.name] = status
        for base, statuses in found.items():
            there = [status for status in statuses if status is not None]
            if max(status.st_ctime for status in there) < self._before:
                yield Orphan(base, sum(status.st_size for status in there), alone=statuses[0] is None)

    def _note(self, place: PackagePath) -> None:
        _, digits, filename = place.split("/")
        partition = self._partitions[digits]
        partition.append(_key(filename))
        if len(partition) >= _KEPT_IN_MEMORY:
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
    """Return a file name as eight bytes; two names that share them hide an orphan, and lose nothing."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(filename), digest_size=8).digest())
