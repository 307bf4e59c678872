"""The tree: the locations of its files and pages, and all writes for one project."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from packaging.utils import NormalizedName

from mirror_syncer.errors import VolumeFullError
from mirror_syncer.model.digests import NO_DIGEST, OtherDigest
from mirror_syncer.model.names import Filename, PackagePath, Sha256
from mirror_syncer.volume.changes import Changes
from mirror_syncer.volume.directories import has_symlinked_parent, make_directories, remove_symlink
from mirror_syncer.volume.disk import exists, explain_disk_errors, is_absent, unlink
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.free_space import FreeSpace
from mirror_syncer.volume.held_markers import hold, is_held, release
from mirror_syncer.volume.incoming import AnyIncoming, BufferedIncoming, Incoming, store
from mirror_syncer.volume.legacy_json import (
    StagedDocument,
    discard_temporary,
    is_published,
    remove_document,
    stage_document,
)
from mirror_syncer.volume.links import forward, link
from mirror_syncer.volume.pages import NAMES, PageSet, StagedPages, discard_temporaries, is_page_published, stage_pages
from mirror_syncer.volume.tombstones import has_tombstone, leave_tombstone
from mirror_syncer.volume.view import View, file_size

# Downloads of at least this size lie in .staging and survive a restart.
MIN_STAGED_BYTES = 32 * 2**20
# Smaller downloads are buffered in memory and written at once: six system calls instead of nine.
MAX_BUFFERED_BYTES = 256 * 2**10
_SHORT_PATH_SLASHES = 2  # packages/ab/file

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class Tree(View):
    """
    A mirror's tree that a ``Volume`` has locked.

    Every method may raise a VolumeError whose message names the remedy.

    Args:
        root: nginx's document root; it may contain other mirrors beside ``pypi/``.
        reserve: the share of the file system to keep free.
    """

    def __init__(self, root: Path, *, reserve: float = 0.0) -> None:
        super().__init__(root)
        self._staging = self.base / ".staging"
        self._withdrawn = self.base / ".withdrawn"
        self._room = FreeSpace(root, reserve=reserve)
        self._withdrawn_text = str(self._withdrawn)
        self._changes = Changes(self.base, self._staging)
        with explain_disk_errors(self.base, affects_all=True):
            self.durability = Durability(self.base)

    async def call(self, operation: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an operation at once: a thread would take longer than most looks at a disk."""
        return operation(*args, **kwargs)

    async def call_each(self, operation: Callable[[T], None], items: Sequence[T]) -> list[Exception | None]:
        """Call an operation for each item; return the error of each, or None."""
        errors: list[Exception | None] = []
        for item in items:
            try:
                operation(item)
            except Exception as error:  # noqa: BLE001 - the caller decides
                errors.append(error)
            else:
                errors.append(None)
        return errors

    def sync(self) -> None:
        """Make all writes so far durable; see ``Durability.sync``."""
        self.durability.sync()

    def assume_changed(self, projects: Iterable[NormalizedName], places: Iterable[PackagePath]) -> None:
        """Have the next ``sync`` cover these pages and files, which an interrupted process may have written."""
        directories = [self.page_directory(name) for name in projects]
        directories += [self.path(place).parent for place in places]
        for directory in directories:
            for changed in (directory, directory.parent):
                self.durability.directory_changed(changed)

    # Free space

    def check_room(self, wanted: int) -> None:
        """Raise ``VolumeFullError`` if this many more bytes would use the reserve, or inodes run out."""
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
        Start or resume the download of a project's file.

        The temporary lies beside its place, which is fastest on ext4, unless the place is unknown or the file is large.
        Two projects may download the same file at once, each into its own temporary.
        """
        if place is not None and size is not None and size <= MAX_BUFFERED_BYTES:
            return BufferedIncoming(
                self._temporary_path(name, place, sha256),
                sha256=sha256,
                size=size,
                durability=self.durability,
                room=self._room,
            )
        if place is None or (size or 0) >= MIN_STAGED_BYTES:
            # A download that cannot be checked at the end must not resume that of an earlier run.
            resumable = sha256 != NO_DIGEST or other_digest is not None
            temporary = self._staging / temporary_name(name, filename, Sha256(sha256 or other_digest or NO_DIGEST))
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

    def target(self, place: PackagePath) -> str:
        """Return where ``publish_file`` of a download stores the file of a place."""
        return f"{self._web_text}/{place}"

    def make_directory(self, place: PackagePath) -> None:
        """Create the directory of a full path; those of short paths always exist."""
        if place.count("/") != _SHORT_PATH_SLASHES:
            with explain_disk_errors():
                make_directories(self.web, place, durability=self.durability)

    def discard_directory(self, place: PackagePath) -> None:
        """Remove the directory of a full path if it is empty, because its file was stored elsewhere."""
        if place.count("/") > _SHORT_PATH_SLASHES:
            with suppress(OSError):
                self.path(place).parent.rmdir()

    def write_metadata(self, name: NormalizedName, place: PackagePath, body: bytes) -> None:
        """Store the ``.metadata`` of a project's file beside it (PEP 658)."""
        temporary = self._temporary_path(name, PackagePath(f"{place}.metadata"), Sha256(""))
        store(body, temporary=temporary, target=f"{self._web_text}/{place}.metadata", durability=self.durability)

    @explain_disk_errors()
    def remove(self, place: PackagePath) -> None:
        """
        Remove a file and its metadata. Call it only after a ``sync`` that follows the page without the file.

        Raises:
            VolumeFullError: there is no space for the tombstone of a full path; the file stays.
        """
        if has_symlinked_parent(self.web, place):
            return
        path = self.path(place)
        leave_tombstone(self.web, place, durability=self.durability)
        listed = self._list_for_edges(place, path)
        unlink(path)
        unlink(f"{path}.metadata")
        if not listed:
            self._changes.add([place])
        self.durability.directory_changed(path.parent)
        if place.count("/") > _SHORT_PATH_SLASHES:
            with suppress(OSError):  # not empty: it holds a tombstone, or leftovers of another program
                path.parent.rmdir()

    @explain_disk_errors()
    def withdraw(self, place: PackagePath) -> None:
        """Move a file and its metadata out of the document root; ``restore`` moves them back."""
        self._changes.add([place])
        if not has_symlinked_parent(self.web, place):
            leave_tombstone(self.web, place, durability=self.durability)
        self._move(self.web, self._withdrawn, place)

    @explain_disk_errors()
    def discard_withdrawn(self, place: PackagePath) -> None:
        """Delete the file and metadata that ``withdraw`` moved aside."""
        if not has_symlinked_parent(self._withdrawn, place):
            for suffix in ("", ".metadata"):
                (self._withdrawn / f"{place}{suffix}").unlink(missing_ok=True)

    def has_tombstone(self, place: PackagePath) -> bool:
        """Return whether a full path has a tombstone: a file that was removed from it returns to it."""
        return has_tombstone(self._web_text, place)

    def restore(self, place: PackagePath) -> None:
        """Move a withdrawn file back if it exists and its place is free."""
        aside, target = f"{self._withdrawn_text}/{place}", f"{self._web_text}/{place}"
        if exists(aside) and file_size(aside) is not None and not exists(target):
            with explain_disk_errors():
                self._move(self._withdrawn, self.web, place)

    # Held files

    @explain_disk_errors()
    def hold(self, place: PackagePath, text: str, *, address: str | None) -> bool:
        """
        Have nginx answer 403 with a text for the URLs of a held or blocked file, whether or not the file is there.

        The next ``sync`` makes it durable. The catalog must claim the place first, so that no other content gets it.

        Args:
            text: the reason, and the date of its end; see ``held_markers.marker_text``.
            address: the content's blake2b-256 if it is known, for a copy in an adopted tree.

        Returns:
            Whether anything changed.
        """
        if len(place.rpartition("/")[2].encode()) > self.name_max:
            return False  # the file system cannot have such a name, so nginx cannot serve the file either
        if not self.is_held(place, address=None) and exists(f"{self._web_text}/{place}"):
            self._changes.add([place])
        return hold(self.web, place, text, address=address, staging=self._staging, durability=self.durability)

    def is_held(self, place: PackagePath, *, address: str | None) -> bool:
        """Return whether ``release`` has anything to do; it takes 4 µs."""
        return is_held(self._web_text, place, address=address)

    @explain_disk_errors()
    def release(self, place: PackagePath, *, address: str | None) -> None:
        """Undo ``hold``, before the page that names the file becomes visible; ``address`` as there."""
        release(self.web, place, address=address, durability=self.durability)

    def _list_for_edges(self, place: PackagePath, path: Path) -> bool:
        """List a file that is about to be removed; return False if only its removal makes room for the line."""
        if not exists(str(path)):
            return True
        try:
            self._changes.add([place])
        except VolumeFullError:
            return False
        return True

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
        return f"{self._web_text}/{directory}/.{temporary_name(name, filename, sha256)}.part"

    # Pages

    def stage(self, name: NormalizedName, pages: PageSet) -> StagedPages | None:
        """Write a page beside the old one; return None if it is already published byte for byte."""
        directory, files = f"{self._web_text}/simple/{name}", pages.files()
        with explain_disk_errors(directory, cannot_be="read"):
            first = not remove_symlink(directory)
            if not first and is_page_published(directory, files):
                return None
        return stage_pages(directory, files=files, first=first, durability=self.durability)

    def publish(self, staged: StagedPages) -> None:
        """Make a staged page visible."""
        staged.publish(self.durability)

    @explain_disk_errors()
    def remove_page(self, name: NormalizedName) -> None:
        """Remove a project's page and legacy document, but no subdirectories (other pages under ``hash-index``)."""
        directory = self.page_directory(name)
        if remove_symlink(str(directory)):
            for path in directory.iterdir():
                if path.is_symlink() or not path.is_dir():
                    unlink(path)
            self.durability.directory_changed(directory)
            with suppress(OSError):  # not empty, see above
                directory.rmdir()
            self.durability.directory_changed(directory.parent)
        legacy = self.legacy_directory(name)
        if remove_symlink(str(legacy)):
            remove_document(legacy, durability=self.durability)

    # The legacy JSON API

    def stage_legacy(self, name: NormalizedName, body: bytes | None) -> StagedDocument | None:
        """Write a legacy document beside the old one, or plan its removal; return None if nothing changes."""
        path = f"{self._web_text}/pypi/{name}"
        with explain_disk_errors(path, cannot_be="read"):
            is_there = remove_symlink(path)
            if not is_there and body is None:
                return None
            directory = self.legacy_directory(name)
            if is_published(directory, body):
                return None
        return stage_document(directory, body=body, durability=self.durability)

    def publish_legacy(self, staged: StagedDocument) -> None:
        """Make a staged legacy document visible."""
        staged.publish(self.durability)

    # From another tree

    def link(self, source: str, place: PackagePath, *, known: os.stat_result) -> bool:
        """Hard-link a file of another tree into this one; ``known`` and result as in ``links.link``."""
        self.make_directory(place)
        # Text, not Path: constructing paths took longer than linking.
        target = f"{self.web}/{place}"
        linked = link(source, target, known=known)
        self.durability.directory_changed(os.path.dirname(target))  # noqa: PTH120 - see above
        return linked

    def link_metadata(self, source: str, place: PackagePath) -> bool:
        """Hard-link the metadata of the file at a place, as in ``link``."""
        return link(source, f"{self.web}/{place}.metadata")

    @explain_disk_errors()
    def forward(self, directory: Path, form: str, *, name: NormalizedName | None) -> None:
        """
        Symlink another path of a page, below ``simple/``, to the page, so that it never becomes outdated.

        Args:
            name: the project of the page; None for the project list.
        """
        home = self.web / "simple" if name is None else self.page_directory(name)
        page = home / (form if form in NAMES else "index.html")
        if page.is_file():
            forward(directory / form, to=page)
            self.durability.directory_changed(directory)

    # After a crash

    @explain_disk_errors()
    def clean_up(self, name: NormalizedName, places: Iterable[tuple[PackagePath, Sha256]]) -> None:
        """Remove the temporaries of an interrupted publication."""
        page, legacy = self.page_directory(name), self.legacy_directory(name)
        for directory in (page, legacy):
            remove_symlink(str(directory))
        discard_temporaries(str(page))
        discard_temporary(legacy)
        for place, sha256 in places:
            metadata = PackagePath(f"{place}.metadata")
            for path in (self._temporary_path(name, place, sha256), self._temporary_path(name, metadata, Sha256(""))):
                unlink(path)


def temporary_name(name: NormalizedName, filename: str, sha256: Sha256) -> str:
    """Return a short name for a temporary, because the longest file name on PyPI leaves no room for a suffix."""
    return hashlib.blake2b(f"{name}/{filename}/{sha256}".encode(), digest_size=16).hexdigest()
