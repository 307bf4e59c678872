"""The tree: where its files and pages lie, and every write to them that one project's turn makes."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_syncer.model.digests import NO_DIGEST, OtherDigest
from mirror_syncer.model.names import Filename, PackagePath, Sha256
from mirror_syncer.volume.directories import has_symlinked_parent, make_directories, remove_symlink
from mirror_syncer.volume.disk import explain_disk_errors, is_absent, unlink
from mirror_syncer.volume.document import (
    StagedDocument,
    discard_temporary,
    is_published,
    remove_document,
    stage_document,
)
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.free_space import FreeSpace
from mirror_syncer.volume.incoming import AnyIncoming, BufferedIncoming, Incoming, store
from mirror_syncer.volume.links import forward, link
from mirror_syncer.volume.pages import NAMES, PageSet, StagedPages, discard_temporaries, is_page_published, stage_pages
from mirror_syncer.volume.tombstones import has_tombstone, leave_tombstone
from mirror_syncer.volume.view import View, file_size

# From this size on a download lies in .staging and outlives a restart.
_MIN_STAGED_BYTES = 32 * 2**20
# Up to this size it is gathered in memory and written at once: six system calls instead of nine.
_MAX_BUFFERED_BYTES = 256 * 2**10
_SHORT_PATH_SLASHES = 2  # slashes of a short path


class Tree(View):
    """
    A mirror's tree, which a ``Volume`` has taken.

    Every method may raise a VolumeError that says what to do about it.

    Args:
        root: nginx's document root; other mirrors may lie beside ``pypi/``.
        reserve: the share of the file system that is left free.
    """

    def __init__(self, root: Path, *, reserve: float = 0.0) -> None:
        super().__init__(root)
        self._staging = self.base / ".staging"
        self._withdrawn = self.base / ".withdrawn"
        self._room = FreeSpace(root, reserve=reserve)
        self._withdrawn_text = str(self._withdrawn)
        with explain_disk_errors(self.base, affects_all=True):
            self.durability = Durability(self.base)

    # Room

    def check_room(self, wanted: int) -> None:
        """Raise ``VolumeFullError`` where so many bytes more would touch the reserve, or inodes run out."""
        self._room.check(wanted)

    # Files

    def incoming(
        self,
        name: NormalizedName,
        filename: Filename,
        sha256: Sha256,
        *,
        size: int | None,
        place: PackagePath | None,
        other_digest: OtherDigest | None = None,
    ) -> AnyIncoming:
        """
        Begin, or go on with, a project's file.

        It grows beside its place, which is the fastest on ext4, unless that is not known yet or the file is large. Two
        projects may bring the very same file at once, each in a temporary of its own.
        """
        if place is not None and size is not None and size <= _MAX_BUFFERED_BYTES:
            return BufferedIncoming(
                self._temporary_path(name, place, sha256),
                sha256=sha256,
                size=size,
                durability=self.durability,
                room=self._room,
            )
        if place is None or (size or 0) >= _MIN_STAGED_BYTES:
            # What nobody can check in the end must not go on where an earlier run stopped.
            resumable = sha256 != NO_DIGEST or other_digest is not None
            temporary = self._staging / _temporary_name(name, filename, Sha256(sha256 or other_digest or NO_DIGEST))
        else:
            temporary, resumable = Path(self._temporary_path(name, place, sha256)), False
        return Incoming(
            temporary,
            sha256=sha256,
            size=size,
            durability=self.durability,
            room=self._room,
            resumable=resumable,
            other_digest=other_digest,
        )

    def make_directory(self, place: PackagePath) -> None:
        """Make the directory of a full path; those of short ones are there."""
        if place.count("/") != _SHORT_PATH_SLASHES:
            with explain_disk_errors():
                make_directories(self.web, place, durability=self.durability)

    def discard_directory(self, place: PackagePath) -> None:
        """Remove the directory of a full path where it is empty: what was to lie there lies elsewhere."""
        if place.count("/") > _SHORT_PATH_SLASHES:
            with suppress(OSError):
                self.path(place).parent.rmdir()

    def write_metadata(self, name: NormalizedName, place: PackagePath, body: bytes) -> None:
        """Store the ``.metadata`` of a project's file beside it (PEP 658)."""
        beside = self._temporary_path(name, PackagePath(f"{place}.metadata"), Sha256(""))
        store(body, temporary=beside, target=f"{self._web_text}/{place}.metadata", durability=self.durability)

    @explain_disk_errors()
    def remove(self, place: PackagePath) -> None:
        """
        Remove a file and its metadata; only ever after a ``sync`` later than the page that dropped it.

        Raises:
            VolumeFullError: the mark that a full path needs finds no room; the file is there as before.
        """
        if has_symlinked_parent(self.web, place):
            return
        path = self.path(place)
        leave_tombstone(self.web, place, durability=self.durability)
        unlink(path)
        unlink(f"{path}.metadata")
        self.durability.directory_changed(path.parent)
        if place.count("/") > _SHORT_PATH_SLASHES:
            with suppress(OSError):  # not empty: the mark that a file was here, or what a program before us left
                path.parent.rmdir()

    @explain_disk_errors()
    def withdraw(self, place: PackagePath) -> None:
        """Take a file and its metadata out of the document root; ``restore`` brings them back."""
        if not has_symlinked_parent(self.web, place):
            leave_tombstone(self.web, place, durability=self.durability)
        self._move(self.web, self._withdrawn, place)

    @explain_disk_errors()
    def discard_withdrawn(self, place: PackagePath) -> None:
        """Remove for good what ``withdraw`` put aside of a place."""
        if not has_symlinked_parent(self._withdrawn, place):
            for suffix in ("", ".metadata"):
                (self._withdrawn / f"{place}{suffix}").unlink(missing_ok=True)

    def has_tombstone(self, place: PackagePath) -> bool:
        """Return whether a full path is a file's own, though nothing lies there: it returns to it, see ``vacancy``."""
        return has_tombstone(self._web_text, place)

    def restore(self, place: PackagePath) -> None:
        """Bring a withdrawn file back, if there is one and its place is free."""
        aside, target = f"{self._withdrawn_text}/{place}", f"{self._web_text}/{place}"
        if file_size(aside) is not None and not os.path.lexists(target):
            with explain_disk_errors():
                self._move(self._withdrawn, self.web, place)

    def _move(self, source: Path, target: Path, place: PackagePath) -> None:
        if has_symlinked_parent(source, place):
            return
        make_directories(target, place, durability=self.durability)
        for suffix in ("", ".metadata"):
            try:
                (source / f"{place}{suffix}").rename(target / f"{place}{suffix}")
            except OSError as error:
                if not is_absent(error):
                    raise
        for root in (source, target):
            self.durability.directory_changed((root / place).parent)

    def _temporary_path(self, name: NormalizedName, place: PackagePath, sha256: Sha256) -> str:
        directory, _, filename = place.rpartition("/")
        return f"{self._web_text}/{directory}/.{_temporary_name(name, filename, sha256)}.part"

    # Pages

    def stage(self, name: NormalizedName, pages: PageSet) -> StagedPages | None:
        """Write a page beside its forerunner; None where it is published already, byte by byte."""
        directory, files = self.page_directory(name), pages.files()
        with explain_disk_errors(directory, cannot_be="read"):
            first = not remove_symlink(directory)
            if not first and is_page_published(directory, files):
                return None
        return stage_pages(directory, files=files, first=first, durability=self.durability)

    @explain_disk_errors()
    def remove_page(self, name: NormalizedName) -> None:
        """Remove a project's page and legacy document; what lies deeper stays: others' pages, by ``hash-index``."""
        directory = self.page_directory(name)
        if remove_symlink(directory):
            for path in directory.iterdir():
                if path.is_symlink() or not path.is_dir():
                    unlink(path)
            self.durability.directory_changed(directory)
            with suppress(OSError):  # not empty, as said
                directory.rmdir()
            self.durability.directory_changed(directory.parent)
        if remove_symlink(legacy := self.legacy_directory(name)):
            remove_document(legacy, durability=self.durability)

    # The legacy JSON API

    def stage_legacy(self, name: NormalizedName, body: bytes | None) -> StagedDocument | None:
        """Write a legacy document beside its forerunner, or plan that it goes; None where that changes nothing."""
        directory = self.legacy_directory(name)
        with explain_disk_errors(directory, cannot_be="read"):
            if (not remove_symlink(directory) and body is None) or is_published(directory, body):
                return None
        return stage_document(directory, body=body, durability=self.durability)

    # From another tree

    def link(self, source: str, place: PackagePath, *, known: os.stat_result) -> bool:
        """Give a file of another tree, ``known`` since it was looked at, a name in this one too; see ``links.link``."""
        self.make_directory(place)
        # Text, not Path: the making of paths took longer than the linking.
        target = f"{self.web}/{place}"
        linked = link(source, target, known=known)
        self.durability.directory_changed(os.path.dirname(target))  # noqa: PTH120 - as said
        return linked

    def link_metadata(self, source: str, place: PackagePath) -> bool:
        """As ``link``, of the metadata of the file at a place."""
        return link(source, f"{self.web}/{place}.metadata")

    @explain_disk_errors()
    def forward(self, directory: Path, form: str, *, name: NormalizedName | None) -> None:
        """
        Let another name of a page, below ``simple/``, lead to the page, so that it never grows old.

        Args:
            name: the page's project; None is the list of all.
        """
        home = self.web / "simple" if name is None else self.page_directory(name)
        page = home / (form if form in NAMES else "index.html")
        if page.is_file():
            forward(directory / form, to=page)
            self.durability.directory_changed(directory)

    # After a crash

    @explain_disk_errors()
    def clean_up(self, name: NormalizedName, places: Iterable[tuple[PackagePath, Sha256]]) -> None:
        """Remove the temporaries of a publication that was broken off."""
        page, legacy = self.page_directory(name), self.legacy_directory(name)
        for directory in (page, legacy):
            remove_symlink(directory)
        discard_temporaries(page)
        discard_temporary(legacy)
        for place, sha256 in places:
            metadata = PackagePath(f"{place}.metadata")
            for path in (self._temporary_path(name, place, sha256), self._temporary_path(name, metadata, Sha256(""))):
                unlink(path)


def _temporary_name(name: NormalizedName, filename: str, sha256: Sha256) -> str:
    """Return a short name for a temporary: the longest file name on PyPI leaves no room for a suffix."""
    return hashlib.blake2b(f"{name}/{filename}/{sha256}".encode(), digest_size=16).hexdigest()
