"""Whose tree is it? One syncer's at a time, and one catalog's for good."""

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
    The lock and the marker of a tree; held until ``release``.

    Args:
        base: the tree, ``<root>/pypi``; its parent must be there.
        mirror_id: the catalog's; the tree bears the same, so that neither is used with another's.
        known: the catalog holds projects. A tree without a marker is then not a new one: its disk is not mounted. A
            catalog that holds none may be a lost one's heir: it takes over the id that the tree bears.

    Attributes:
        mirror_id: what the tree bears now.

    Raises:
        VolumeMissingError: the disk is not mounted, or another catalog's.
        VolumeInUseError: another syncer holds it; the message names which.
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
        """Whether the tree's disk is there."""
        return os.path.lexists(self._marker)  # whatever a disk that is not there says

    def release(self) -> None:
        """Let another syncer have the tree."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _remedy(self) -> str:
        """Return what to do about a tree without its marker: nothing that a copy would have kept is given up for it."""
        if (self._base / "web" / "simple").is_dir():
            return (
                "pages are here, so a copy left out the hidden files. Copy `pypi/.mirror-id` from the old tree as well "
                "(docs/disk-and-move.md)"
            )
        return (
            "is the disk mounted? To move the mirror here, copy the old tree first; only if it is lost for good, "
            "start again with an empty catalog (docs/disk-and-move.md has the steps)"
        )

    def _acquire(self) -> None:
        lock = os.open(self._base / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 500, 0).decode(errors="replace").strip() or "its disk was too full to say which"
            os.close(lock)
            raise VolumeInUseError(f"another syncer writes to {self._base}: {holder}. Stop that one first") from None
        self._lock = lock
        us = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        os.ftruncate(lock, 0)
        with suppress(OSError):  # on a full disk: the lock holds all the same, and a second syncer is told less
            os.pwrite(lock, json.dumps(us).encode(), 0)

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
                "mount the right disk, or bring back the catalog that goes with it"
            )
        self.mirror_id = found
