"""The bucket of the one process that may write to it, and operations on the whole of it."""

import fcntl
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.config.bucket import BucketAccess
from mirror_syncer.errors import VolumeError, VolumeFullError, VolumeInUseError, VolumeMissingError
from mirror_syncer.model.generation import Generation
from mirror_syncer.volume.blocked_names import blocked_names
from mirror_syncer.volume.bucket.store import ObjectStore
from mirror_syncer.volume.bucket.tree import BucketTree
from mirror_syncer.volume.bucket.view import BASE, MARKER, WEB
from mirror_syncer.volume.disk import explain_disk_errors
from mirror_syncer.volume.free_space import MIN_FREE_BYTES
from mirror_syncer.volume.large_page import StreamedPages

log = structlog.get_logger()

_GENERATION = f"{BASE}/.generation"
_BLOCKED = f"{BASE}/.blocked"
_PROBE = f"{BASE}/.probe"
_LIST = "list"
_MAX_STAGED_SECONDS = 7 * 86_400


class Bucket(BucketTree):
    """
    A mirror's tree in a bucket, whose operations are those of ``Volume``.

    The marker keeps a mirror with another catalog away, and a lock on the local directory a second process with the
    same one. Only a copy of the catalog on another machine is not noticed: S3 has no lock that ends with its holder.

    Args:
        scratch: a local directory of its own, for downloads; it stays when the process ends.
        reserve: the share of the local disk to keep free.
        mirror_id: the id of the catalog, which the marker must match.
        known: the catalog holds projects, so a bucket without a marker is the wrong one.

    Attributes:
        mirror_id: the id in the marker.
        is_lost: the tree has pages, but the catalog is empty and must be rebuilt from them.

    Raises:
        VolumeMissingError: the bucket is missing, or belongs to another catalog.
        VolumeInUseError: another process has the local directory.
        VolumeError: the store refuses or ignores what a mirror needs of it.
    """

    def __init__(
        self, access: BucketAccess, *, scratch: Path, mirror_id: str, known: bool, reserve: float = 0.0
    ) -> None:
        store = ObjectStore(access)
        # After a failure nothing stays open.
        with ExitStack() as held:
            self._lock = _lock(scratch, store)
            held.callback(os.close, self._lock)
            self.mirror_id = mirror_id
            self._probe(store)
            self._mark(store, known=known)
            super().__init__(store, scratch=scratch, reserve=reserve)
            held.callback(self._local.close)
            self.is_lost = not known and any(True for _ in self.projects())
            self.trim_changes()
            held.pop_all()

    def close(self) -> None:
        """Release the local directory, so that another process may write."""
        self._threads.shutdown(cancel_futures=True)
        self._local.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_present(self) -> None:
        """
        Check the bucket, before each run and when files are missing.

        Raises:
            VolumeMissingError: it was emptied, or belongs to another catalog now.
            VolumeError: the store does not answer.
        """
        found = self.store.get(MARKER)
        if found is None or found.decode(errors="replace").strip() != self.mirror_id:
            raise VolumeMissingError(
                f"{self.store} has lost its marker {MARKER}: was the bucket emptied or replaced? The syncer waits "
                "until it is back"
            )

    def check_usable(self) -> None:
        """Check whether the error of one object affects all; errors as in ``check_present``."""
        self.check_present()

    def is_full(self) -> bool:
        """Return whether downloads must stop, because the local disk is full."""
        try:
            self._room.check(MIN_FREE_BYTES)
        except VolumeFullError:
            return True
        return False

    def trim_ballast(self) -> None:
        """Do nothing: a removal needs no space that could be reserved."""

    # Changes for edges

    def trim_changes(self) -> None:
        """Drop outdated lines of the list of changes; called before each run."""
        with suppress(VolumeError):
            self._changes.trim()

    def list_changed_pages(self, names: Iterable[NormalizedName]) -> None:
        """Have edges ask again for pages that were just replaced or removed; otherwise they wait for ten minutes."""
        with suppress(VolumeError):
            self._changes.add(f"simple/{name}" for name in names)

    # The generation

    def generation(self) -> Generation:
        """Return the tree's generation; the first one if none was written yet."""
        body = self.store.get(_GENERATION)
        return Generation() if body is None else Generation.parse(body.decode(errors="replace"))

    def write_generation(self, generation: Generation) -> None:
        """Replace the tree's generation."""
        self.store.replace(_GENERATION, f"{generation}\n".encode())

    # The project list

    def stream_list(self) -> StreamedPages:
        """Start writing a new project list on the local disk; ``publish`` uploads it."""
        directory = self.scratch / _LIST
        with explain_disk_errors(directory):
            directory.mkdir(exist_ok=True)
        return StreamedPages(directory, durability=self._local)

    def has_project_list(self) -> bool:
        """Return whether a project list is published, in both formats."""
        return all(self.store.head(f"{WEB}/simple/{form}") for form in ("index.html", "index.v1_json"))

    # The status

    def write_status(self, body: bytes) -> None:
        """Replace ``status.json``."""
        self.store.replace(f"{WEB}/status.json", body)

    # Blocked names

    def write_blocked_names(self, names: Mapping[str, str], patterns: Mapping[str, str]) -> bool:
        """Replace the names whose 404 gives a reason, as in ``Volume``; return whether anything changed."""
        body = blocked_names(names, patterns)
        if self.store.get(_BLOCKED) == body:
            return False
        if body is None:
            self.store.delete(_BLOCKED)
        else:
            self.store.replace(_BLOCKED, body)
        return True

    # After a crash

    @explain_disk_errors(affects_all=True)
    def clean_staging(self) -> None:
        """Remove staged downloads that were not resumed for a week."""
        for path in self.scratch.iterdir():
            with suppress(OSError):
                if (
                    path.is_file()
                    and path.name != ".lock"
                    and path.lstat().st_mtime < time.time() - _MAX_STAGED_SECONDS
                ):
                    path.unlink()

    # At the start

    def _probe(self, store: ObjectStore) -> None:
        """Check that the store lets this key write and delete, and refuses to create an object twice."""
        store.delete(_PROBE)
        store.create(_PROBE, b"1\n")
        if store.create(_PROBE, b"2\n"):
            log.warning(
                "this store ignores If-None-Match: two syncers that write to it would overwrite each other's objects "
                "unnoticed; keep to one",
                store=str(store),
            )
        store.delete(_PROBE)

    def _mark(self, store: ObjectStore, *, known: bool) -> None:
        body = store.get(MARKER)
        if body is None and known:
            raise VolumeMissingError(
                f"{store} has no marker {MARKER}, though the catalog holds projects: correct MIRROR_DATA, or restore "
                "the bucket. Only if it is lost for good, start with an empty catalog (docs/disk-and-move.md)"
            )
        if body is None:
            mine = f"{self.mirror_id}\n".encode()
            body = mine if store.create(MARKER, mine) else store.get(MARKER) or b""
        if (found := body.decode(errors="replace").strip()) != self.mirror_id:
            raise VolumeMissingError(
                f"{store} belongs to another catalog ({found}; ours is {self.mirror_id}): choose another prefix in "
                f"MIRROR_DATA, or restore the catalog of this bucket. If that is lost for good and no other syncer "
                f"writes here, delete the object {MARKER}: then the catalog is rebuilt from the pages"
            )


def _lock(scratch: Path, store: ObjectStore) -> int:
    with explain_disk_errors(scratch, affects_all=True):
        scratch.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(scratch / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise VolumeInUseError(f"another syncer with the same MIRROR_STATE writes to {store}: stop it first") from None
    return lock
