"""Ownership of a tree: a lock for one syncer at a time, and a marker of its one catalog."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mirror_syncer.errors import VolumeInUseError, VolumeMissingError


class VolumeLock:
    """
    The lock and the marker of a tree, held until ``release``.

    Args:
        base: the tree, ``<root>/pypi``; its parent must exist.
        mirror_id: the catalog's id, which the tree's marker must match.
        known: the catalog holds projects. Then a tree without a marker means that its disk is not mounted. An empty
            catalog may replace a lost one, so it adopts the id of the tree.

    Attributes:
        mirror_id: the id in the tree's marker.

    Raises:
        VolumeMissingError: the disk is not mounted, or the tree belongs to another catalog.
        VolumeInUseError: another syncer holds the lock; the message names it.
    """

    def __init__(self, base: Path, *, mirror_id: str, known: bool) -> None:
        self._base = base
        self._marker = base / ".mirror-id"
        self._lock = -1
        self.mirror_id = mirror_id
        if not base.parent.is_dir():
            raise VolumeMissingError(
                f"{base.parent} does not exist: is the disk mounted? Mount it, or correct MIRROR_DATA"
            )
        if known and not self.present:
            raise VolumeMissingError(f"{self._marker} is missing, though the catalog holds projects: {self._remedy()}")
        base.mkdir(exist_ok=True)
        self._acquire()
        try:
            self._mark(known=known)
        except BaseException:
            self.release()
            raise

    @property
    def present(self) -> bool:
        """Whether the tree has its marker, so its disk is mounted."""
        return os.path.lexists(self._marker)  # never raises, even without the disk

    def release(self) -> None:
        """Release the lock for another syncer."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _remedy(self) -> str:
        """Return advice for a tree without a marker that loses no data."""
        if (self._base / "web" / "simple").is_dir():
            return (
                "pages exist, so a copy omitted hidden files. Also copy `pypi/.mirror-id` from the old tree "
                "(docs/disk-and-move.md)"
            )
        return (
            "is the disk mounted? To move the mirror here, copy the old tree first. Only if it is lost for good, "
            "start with an empty catalog (steps in docs/disk-and-move.md)"
        )

    def _acquire(self) -> None:
        lock = os.open(self._base / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = (
                os.pread(lock, 500, 0).decode(errors="replace").strip() or "unknown, the disk was too full to record it"
            )
            os.close(lock)
            raise VolumeInUseError(f"another syncer writes to {self._base}: {holder}. Stop that one first") from None
        self._lock = lock
        holder_info = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        os.ftruncate(lock, 0)
        with suppress(OSError):  # on a full disk the lock still holds, but a second syncer cannot name the holder
            os.pwrite(lock, json.dumps(holder_info).encode(), 0)

    def _mark(self, *, known: bool) -> None:
        if not self.present:
            temporary = self._base / ".mirror-id.new"
            temporary.unlink(missing_ok=True)
            with temporary.open("x") as file:
                file.write(f"{self.mirror_id}\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._marker)
        found = self._marker.read_text().strip()
        if known and found != self.mirror_id:
            raise VolumeMissingError(
                f"{self._base} belongs to another catalog ({found}; ours is {self.mirror_id}): "
                "mount the right disk, or restore the catalog of this one"
            )
        self.mirror_id = found
