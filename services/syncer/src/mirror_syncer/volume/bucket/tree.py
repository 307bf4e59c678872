"""The tree in a bucket: all writes for one project."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from packaging.utils import NormalizedName

from mirror_syncer.model.digests import NO_DIGEST, OtherDigest
from mirror_syncer.model.names import Filename, PackagePath, Sha256, content_digest, short_path
from mirror_syncer.volume.bucket.changes import BucketChanges
from mirror_syncer.volume.bucket.incoming import BufferedUpload, Upload
from mirror_syncer.volume.bucket.store import ObjectStore
from mirror_syncer.volume.bucket.view import BASE, WEB, BucketView, held_marker, tombstone
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.free_space import FreeSpace
from mirror_syncer.volume.held_markers import marker_text
from mirror_syncer.volume.legacy_json import StagedDocument, document_forms
from mirror_syncer.volume.pages import NAMES, PageSet, StagedPages
from mirror_syncer.volume.tree import MAX_BUFFERED_BYTES, MIN_STAGED_BYTES, temporary_name

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

_WITHDRAWN = f"{BASE}/.withdrawn"
_DOCUMENT_FORMS = ("json.gz", "json")
# A gateway of Ceph does 530 small writes a second at 8 in flight, 690 at 32.
_THREADS = 32


class StagedObjects(StagedPages):
    """A page that is rendered but not yet visible, in memory."""

    def __init__(self, directory: str, *, files: dict[str, bytes], first: bool) -> None:
        super().__init__(directory, names=tuple(files), first=first)
        self.files = files


class StagedDocumentObjects(StagedDocument):
    """A legacy document that is not yet visible, in memory; or a planned removal."""

    def __init__(self, directory: str, *, files: dict[str, bytes]) -> None:
        super().__init__(Path(directory), names=tuple(files))
        self.files = files


class BucketTree(BucketView):
    """A mirror's tree in a bucket, whose operations are those of ``Tree``; one process alone may write to it."""

    def __init__(self, store: ObjectStore, *, scratch: Path, reserve: float = 0.0) -> None:
        super().__init__(store, scratch=scratch)
        scratch.mkdir(mode=0o700, exist_ok=True)
        self._room = FreeSpace(scratch, reserve=reserve)
        self._local = Durability(scratch)
        self._changes = BucketChanges(store)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="bucket")
        # Few, so that a download need not ask whether its place has one.
        self._withdrawn = {info.key.removeprefix(f"{_WITHDRAWN}/") for info in store.list(f"{_WITHDRAWN}/")}

    async def call(self, operation: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call an operation in a thread, since it waits for the network."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(operation, *args, **kwargs))

    async def call_each(self, operation: Callable[[T], None], items: Sequence[T]) -> list[Exception | None]:
        """Call an operation for several items at once; return the error of each, or None."""
        found = await asyncio.gather(*(self.call(operation, item) for item in items), return_exceptions=True)
        for error in found:
            if error is not None and not isinstance(error, Exception):
                raise error
        return [error if isinstance(error, Exception) else None for error in found]

    def sync(self) -> None:
        """Do nothing: what a store has confirmed is durable."""

    def assume_changed(self, projects: Iterable[NormalizedName], places: Iterable[PackagePath]) -> None:
        """Do nothing, as ``sync``."""

    def check_room(self, wanted: int) -> None:  # noqa: ARG002 - as in Tree
        """Raise ``VolumeFullError`` if the local disk is full; what the store has room for, only a write tells."""
        self._room.check(0)

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
    ) -> Upload | BufferedUpload:
        """Start or resume the download of a project's file, as in ``Tree``."""
        if place is not None and size is not None and size <= MAX_BUFFERED_BYTES:
            return BufferedUpload(
                place, store=self.store, sha256=sha256, size=size, durability=self._local, room=self._room
            )
        checked = sha256 != NO_DIGEST or other_digest is not None
        return Upload(
            self.scratch / temporary_name(name, filename, Sha256(sha256 or other_digest or NO_DIGEST)),
            store=self.store,
            sha256=sha256,
            size=size,
            durability=self._local,
            room=self._room,
            resumable=checked and (size is None or size >= MIN_STAGED_BYTES),
            other_digest=other_digest,
        )

    def target(self, place: PackagePath) -> str:
        """Return where ``publish_file`` of a download stores the file of a place."""
        return f"{WEB}/{place}"

    def make_directory(self, place: PackagePath) -> None:
        """Do nothing: a store has no directories."""

    def discard_directory(self, place: PackagePath) -> None:
        """Do nothing, as ``make_directory``."""

    def write_metadata(self, name: NormalizedName, place: PackagePath, body: bytes) -> None:  # noqa: ARG002 - as in Tree
        """Store the ``.metadata`` of a project's file beside it (PEP 658)."""
        self.store.replace(f"{WEB}/{place}.metadata", body)

    def remove(self, place: PackagePath) -> None:
        """Remove a file and its metadata. Call it only after the page without the file is stored."""
        self._leave_tombstone(place)
        self._changes.add([place])
        self.store.delete(f"{WEB}/{place}", f"{WEB}/{place}.metadata")

    def withdraw(self, place: PackagePath) -> None:
        """Move a file and its metadata out of what is served; ``restore`` moves them back."""
        self._changes.add([place])
        self._leave_tombstone(place)
        self._move(WEB, _WITHDRAWN, place)
        self._withdrawn.add(place)

    def discard_withdrawn(self, place: PackagePath) -> None:
        """Delete the file and metadata that ``withdraw`` moved aside."""
        self.store.delete(f"{_WITHDRAWN}/{place}", f"{_WITHDRAWN}/{place}.metadata")
        self._withdrawn.discard(place)

    def has_tombstone(self, place: PackagePath) -> bool:
        """Return whether a full path has a tombstone: a file that was removed from it returns to it."""
        return self.store.head(f"{WEB}/{tombstone(place)}") is not None

    def restore(self, place: PackagePath) -> None:
        """Move a withdrawn file back if it exists and its place is free."""
        if place in self._withdrawn and self.size(place) is None:
            self._move(_WITHDRAWN, WEB, place)
            self._withdrawn.discard(place)

    # Held files

    def hold(self, place: PackagePath, text: str, *, address: str | None) -> bool:  # noqa: ARG002 - as in Tree
        """
        Have nginx answer 403 with a text for the URLs of a held or blocked file, whether or not the file is there.

        Returns:
            Whether anything changed.
        """
        key, body = f"{WEB}/{held_marker(place)}", f"{marker_text(text)}\n".encode()
        before = self.store.get(key)
        if before == body:
            return False
        if before is None and self.size(place) is not None:
            self._changes.add([place])
        self.store.replace(key, body)
        return True

    def is_held(self, place: PackagePath, *, address: str | None) -> bool:  # noqa: ARG002 - as in Tree
        """Return whether ``release`` has anything to do."""
        return self.store.head(f"{WEB}/{held_marker(place)}") is not None

    def release(self, place: PackagePath, *, address: str | None) -> None:  # noqa: ARG002 - as in Tree
        """Undo ``hold``, before the page that names the file becomes visible."""
        self.store.delete(f"{WEB}/{held_marker(place)}")

    def _leave_tombstone(self, place: PackagePath) -> None:
        """Leave the tombstone of a file at its full path, unless the short path holds the same content."""
        address = content_digest(f"/{place}")
        if address is None or (self.size(place) is None and self.size(PackagePath(f"{place}.metadata")) is None):
            return
        short = short_path(address, Filename(place.rpartition("/")[2]))
        mine, other = self.digest(place), self.digest(short)
        if mine is None or mine != other:
            self.store.replace(f"{WEB}/{tombstone(place)}", b"")

    def _move(self, source: str, target: str, place: PackagePath) -> None:
        for suffix in (".metadata", ""):
            if self.store.copy(f"{source}/{place}{suffix}", f"{target}/{place}{suffix}"):
                self.store.delete(f"{source}/{place}{suffix}")

    # Pages

    def stage(self, name: NormalizedName, pages: PageSet) -> StagedPages | None:
        """Prepare a page; return None if it is already published byte for byte."""
        directory, files = f"{WEB}/simple/{name}", pages.files()
        first = self.store.head(f"{directory}/index.v1_json") is None
        if not first and self.forms(directory, iter(NAMES)) == files:
            return None
        return StagedObjects(directory, files=files, first=first)

    def publish(self, staged: StagedPages) -> None:
        """
        Make a staged page visible, in the order of ``StagedPages.publish``.

        There is no rename: between two of its objects, a client may get the new page and another one the old page.
        """
        if isinstance(staged, StagedObjects):
            self._show(staged.directory, staged.files, names=NAMES)
            return
        for name in NAMES:
            path, key = Path(staged.directory) / name, f"{WEB}/simple/{name}"
            if name in staged.names:
                self.store.upload(key, path.with_name(f".{name}.new"))
            else:
                self.store.delete(key)
        staged.discard()

    def remove_page(self, name: NormalizedName) -> None:
        """Remove a project's page and legacy document."""
        pages = (f"{WEB}/simple/{name}/{form}" for form in NAMES)
        self.store.delete(*pages, *(f"{WEB}/pypi/{name}/{form}" for form in _DOCUMENT_FORMS))

    def _show(self, directory: str, files: dict[str, bytes], *, names: Iterable[str]) -> None:
        if not isinstance(names, tuple):
            names = tuple(names)
        obsolete = [name for name in names if name not in files]
        if obsolete and any(name.endswith(".gz") for name in obsolete):
            self.store.delete(*(f"{directory}/{name}" for name in obsolete))
        for name, body in files.items():
            self.store.replace(f"{directory}/{name}", body)

    # The legacy JSON API

    def stage_legacy(self, name: NormalizedName, body: bytes | None) -> StagedDocument | None:
        """Prepare a legacy document, or plan its removal; return None if nothing changes."""
        directory = f"{WEB}/pypi/{name}"
        files = {} if body is None else document_forms(body)
        if self.forms(directory, iter(_DOCUMENT_FORMS)) == files:
            return None
        return StagedDocumentObjects(directory, files=files)

    def publish_legacy(self, staged: StagedDocument) -> None:
        """Make a legacy document visible, or remove the old one."""
        assert isinstance(staged, StagedDocumentObjects)
        self._show(str(staged.directory), staged.files, names=_DOCUMENT_FORMS)

    # After a crash

    def clean_up(self, name: NormalizedName, places: Iterable[tuple[PackagePath, Sha256]]) -> None:
        """Do nothing: an interrupted publication leaves no temporaries in the bucket."""
