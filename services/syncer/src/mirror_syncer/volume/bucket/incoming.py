"""Downloads into a bucket: checked on the local disk or in memory, then uploaded whole."""

from pathlib import Path

import structlog

from mirror_syncer.model.digests import OtherDigest
from mirror_syncer.model.names import Sha256
from mirror_syncer.volume.bucket.store import MAX_SINGLE_PUT_BYTES, ObjectStore
from mirror_syncer.volume.disk import explain_disk_errors, unlink
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.free_space import FreeSpace
from mirror_syncer.volume.incoming import BufferedIncoming, Incoming

log = structlog.get_logger()


class Upload(Incoming):
    """A download in a local temporary file. After a failed upload a resumable one is still there, whole."""

    def __init__(
        self,
        temporary: Path,
        *,
        store: ObjectStore,
        sha256: Sha256,
        size: int | None,
        durability: Durability,
        room: FreeSpace,
        resumable: bool,
        other_digest: OtherDigest | None,
    ) -> None:
        super().__init__(
            temporary,
            sha256=sha256,
            size=size,
            durability=durability,
            room=room,
            resumable=resumable,
            other_digest=other_digest,
        )
        self._store = store

    def publish_file(self, target: str, *, mtime: float | None) -> None:
        """Upload it, and remove the local file."""
        if self.position > MAX_SINGLE_PUT_BYTES:
            # No condition: see ``store``. The catalog has claimed the place, and there is one writer.
            self._store.upload(target, self.temporary, mtime=mtime)
        else:
            with explain_disk_errors(self.temporary, cannot_be="read"):
                body = self.temporary.read_bytes()
            place(self._store, target, body, mtime=mtime)
        self._file.close()
        with explain_disk_errors(self.temporary):
            unlink(self.temporary)


class BufferedUpload(BufferedIncoming):
    """A small download, buffered in memory."""

    def __init__(
        self, key: str, *, store: ObjectStore, sha256: Sha256, size: int, durability: Durability, room: FreeSpace
    ) -> None:
        super().__init__(key, sha256=sha256, size=size, durability=durability, room=room)
        self._store = store

    def publish_file(self, target: str, *, mtime: float | None) -> None:
        """Upload it."""
        place(self._store, target, self.content, mtime=mtime)


def place(store: ObjectStore, key: str, body: bytes, *, mtime: float | None) -> None:
    """
    Store a checked file under its key.

    The catalog lets a key have only one content ever. So other content is damage, or a late write of an interrupted
    process, and is replaced.
    """
    if not store.create(key, body, mtime=mtime):
        log.warning("an object had other content than its key promises; it was replaced", key=key)
        store.replace(key, body, mtime=mtime)
