"""The tree as a whole: taking it, room on it, and where its files and pages lie."""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from packaging.utils import NormalizedName

from mirror_contract import Disk
from mirror_syncer.errors import VolumeAbsent, VolumeError, VolumeFull, VolumeInUse
from mirror_syncer.names import Filename, PackagePath, Sha256
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.incoming import Incoming, file_digest
from mirror_syncer.volume.pages import PageSet, StagedPages, discard_temporaries, published

# From this size on a download lies in .staging and outlives a restart.
_STAGED_FROM = 32 * 2**20
_STAGED_SECONDS = 7 * 86_400
_FEWEST_INODES = 1_000


class Volume:
    """
    A mirror's tree, taken by this process until ``close``.

    Args:
        root: nginx's document root; other mirrors may lie beside ``pypi/``.
        mirror_id: the catalog's; the tree bears the same, so that neither is used with another's.
        known: the catalog holds projects. A tree without an id is then not a new one: its disk is not mounted. A
            catalog that holds none may be a lost one's heir: it takes over the id that the tree bears.
        reserve: the share of the file system that is left free.

    Raises:
        VolumeError: with what to do about it.
    """

    def __init__(self, root: Path, *, mirror_id: str, known: bool, reserve: float = 0.0) -> None:
        self.root = root
        self.base = root / "pypi"
        self.web = self.base / "web"
        self._marker = self.base / ".mirror-id"
        self._staging = self.base / ".staging"
        self._withdrawn = self.base / ".withdrawn"
        self._reserve = reserve
        self._lock = -1
        self.mirror_id = mirror_id
        try:
            self._take(mirror_id=mirror_id, known=known)
            self.durability = Durability(self.base)
        except OSError as error:
            self._release()
            if isinstance(error, VolumeError):
                raise
            uid, gid = os.getuid(), os.getgid()
            remedy = f"; on the host: chown -R {uid}:{gid} the directory that MIRROR_DATA names"
            raise VolumeError(
                f"{error.filename or root} cannot be used by uid {uid}: {error.strerror}"
                f"{remedy if isinstance(error, PermissionError) else ''}"
            ) from error

    def _take(self, *, mirror_id: str, known: bool) -> None:
        if not self.root.is_dir():
            raise VolumeAbsent(f"{self.root} does not exist: is the disk mounted? Mount it, or correct MIRROR_DATA")
        if known and not self._marker.exists():
            raise VolumeAbsent(
                f"{self._marker} is missing, though the catalog holds projects: is the disk mounted? "
                "If the tree is lost for good, remove the catalog as well and start anew"
            )
        self.base.mkdir(exist_ok=True)
        self._acquire()
        if not self._marker.exists():
            self._mark(mirror_id)
        elif (found := self._marker.read_text().strip()) != mirror_id and not known:
            self.mirror_id = found
        elif found != mirror_id:
            raise VolumeAbsent(
                f"{self.base} belongs to another catalog ({found}; ours is {mirror_id}): "
                "mount the right disk, or bring back the catalog that goes with it"
            )
        for directory in ("simple", *(f"packages/{number:02x}" for number in range(256))):
            (self.web / directory).mkdir(parents=True, exist_ok=True)
        for hidden in (self._staging, self._withdrawn):
            hidden.mkdir(mode=0o700, exist_ok=True)

    def _acquire(self) -> None:
        self._lock = os.open(self.base / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 500, 0).decode(errors="replace").strip()
            raise VolumeInUse(f"another syncer writes to {self.base}: {holder}. Stop that one first") from None
        us = {"host": socket.gethostname(), "pid": os.getpid(), "since": datetime.now(UTC).isoformat()}
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps(us).encode(), 0)

    def _mark(self, mirror_id: str) -> None:
        temporary = self.base / ".mirror-id.new"
        with temporary.open("w") as file:
            file.write(f"{mirror_id}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._marker)

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        """Let go of the tree; another syncer may take it."""
        self.durability.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Room

    def disk(self) -> Disk:
        """Return the size of the file system, and what of it is free for us."""
        stat = os.statvfs(self.root)
        return Disk(
            size_bytes=stat.f_blocks * stat.f_frsize,
            free_bytes=stat.f_bavail * stat.f_frsize,
            free_inodes=stat.f_favail if stat.f_files else None,
        )

    def check(self, *, room: int = 0) -> None:
        """
        Raise unless the tree is there and so many bytes more leave the reserve free.

        Raises:
            VolumeAbsent: its disk was unmounted under us.
            VolumeFull: bytes or inodes run out.
        """
        if not self._marker.exists():
            raise VolumeAbsent(f"{self._marker} is missing: is the disk mounted? Nothing is written until it is back")
        disk = self.disk()
        if disk.free_bytes - room < disk.size_bytes * self._reserve:
            raise VolumeFull(
                f"{self.root}: {disk.free_bytes:,} bytes are free, {room:,} are wanted and {self._reserve:.0%} stay "
                "free (MIRROR_DISK_RESERVE): grow the disk, or select less in mirror.toml"
            )
        if disk.free_inodes is not None and disk.free_inodes < _FEWEST_INODES:
            raise VolumeFull(f"{self.root}: {disk.free_inodes} inodes are free: grow the file system")

    # Files

    def path(self, place: PackagePath) -> Path:
        """Return where a file lies."""
        return self.web / place

    def incoming(self, filename: Filename, sha256: Sha256, *, size: int | None, place: PackagePath | None) -> Incoming:
        """
        Begin, or go on with, a file.

        It grows beside its place, which is the fastest on ext4, unless that is not known yet or the file is large.
        """
        if place is None or (size or 0) >= _STAGED_FROM:
            temporary, lasting = self._staging / _token(filename, sha256), True
        else:
            temporary, lasting = self._beside(place, sha256), False
        return Incoming(
            temporary,
            sha256=sha256,
            size=size,
            durability=self.durability,
            address=place is None,
            lasting=lasting,
        )

    def make_directory(self, place: PackagePath) -> None:
        """Make the directory of a full path; those of short ones are there."""
        self.path(place).parent.mkdir(parents=True, exist_ok=True)

    def digest(self, place: PackagePath) -> Sha256 | None:
        """Return the sha256 of what lies at a place, or None where nothing does. It blocks for the disk."""
        return file_digest(self.path(place))

    def size(self, place: PackagePath) -> int | None:
        """Return the bytes of what lies at a place, or None where no plain file does."""
        path = self.path(place)
        return path.stat().st_size if path.is_file() and not path.is_symlink() else None

    def write_metadata(self, place: PackagePath, body: bytes) -> None:
        """Store a file's ``.metadata`` beside it (PEP 658)."""
        target = self.path(place).with_name(f"{self.path(place).name}.metadata")
        digest = Sha256(os.urandom(32).hex())
        incoming = Incoming(self._beside(place, digest), sha256=digest, size=None, durability=self.durability)
        incoming.write(body)
        incoming.name_it(target, mtime=None)

    def remove(self, place: PackagePath) -> None:
        """Remove a file and its metadata; only ever after a ``sync`` later than the page that dropped it."""
        for path in self._with_metadata(place):
            path.unlink(missing_ok=True)
            self.durability.named(path.parent)

    def withdraw(self, place: PackagePath) -> None:
        """Take a file and its metadata out of the document root; ``restore`` brings them back."""
        self._move(self.web, self._withdrawn, place)

    def restore(self, place: PackagePath) -> None:
        """Bring a withdrawn file back, if there is one and its place is free."""
        if (self._withdrawn / place).is_file() and not self.path(place).exists():
            self._move(self._withdrawn, self.web, place)

    def _move(self, source: Path, target: Path, place: PackagePath) -> None:
        for suffix in ("", ".metadata"):
            path = target / f"{place}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                (source / f"{place}{suffix}").rename(path)
            except FileNotFoundError:
                continue
            self.durability.named(path.parent)

    def _with_metadata(self, place: PackagePath) -> Iterable[Path]:
        path = self.path(place)
        return path, path.with_name(f"{path.name}.metadata")

    def _beside(self, place: PackagePath, sha256: Sha256) -> Path:
        path = self.path(place)
        return path.with_name(f".{_token(path.name, sha256)}.part")

    # Pages

    def page_directory(self, name: NormalizedName | None) -> Path:
        """Return where a project's page lies, or the project list."""
        return self.web / "simple" / name if name else self.web / "simple"

    def page(self, name: NormalizedName) -> bytes | None:
        """Return a project's published page in JSON, or None where it has none."""
        try:
            return (self.page_directory(name) / "index.v1_json").read_bytes()
        except FileNotFoundError:
            return None

    def stage(self, name: NormalizedName | None, pages: PageSet) -> StagedPages | None:
        """Write a page beside its forerunner; None where it is published already, byte by byte."""
        directory, files = self.page_directory(name), pages.files()
        if published(directory, files):
            return None
        return StagedPages(directory, files=files, durability=self.durability)

    def remove_page(self, name: NormalizedName) -> None:
        """Remove a project's page, and its directory."""
        directory = self.page_directory(name)
        if directory.is_dir():
            shutil.rmtree(directory)
            self.durability.named(directory.parent)

    def projects(self) -> Iterator[NormalizedName]:
        """Yield the projects that have a page, in no order."""
        with os.scandir(self.web / "simple") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and (Path(entry.path) / "index.v1_json").is_file():
                    yield NormalizedName(entry.name)

    # After a crash

    def clean_up(self, name: NormalizedName, places: Iterable[tuple[PackagePath, Sha256]]) -> None:
        """Remove the temporaries of a publication that was broken off."""
        discard_temporaries(self.page_directory(name))
        for place, sha256 in places:
            self._beside(place, sha256).unlink(missing_ok=True)

    def clean_staging(self) -> None:
        """Remove staged downloads that nobody went on with for a week."""
        for path in self._staging.iterdir():
            if path.stat().st_mtime < time.time() - _STAGED_SECONDS:
                path.unlink()


def _token(filename: str, sha256: Sha256) -> str:
    """Return a short name for a temporary: the longest file name on PyPI leaves no room for a suffix."""
    return hashlib.blake2b(f"{filename}/{sha256}".encode(), digest_size=16).hexdigest()
