"""The tree as a whole: taking it, room on it, and where its files and pages lie."""

import hashlib
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from packaging.utils import NormalizedName

from mirror_syncer.errors import VolumeAbsent, VolumeFull
from mirror_syncer.names import Filename, PackagePath, Sha256
from mirror_syncer.volume.disk import disk_says
from mirror_syncer.volume.durability import Durability
from mirror_syncer.volume.incoming import Incoming
from mirror_syncer.volume.pages import PageSet, StagedPages, discard_temporaries, published
from mirror_syncer.volume.possession import Possession
from mirror_syncer.volume.stream import StreamedPages
from mirror_syncer.volume.view import View

# From this size on a download lies in .staging and outlives a restart.
_STAGED_FROM = 32 * 2**20
_STAGED_SECONDS = 7 * 86_400
_FEWEST_INODES = 1_000
_SHORT = 2  # slashes of a short path


class Volume(View):
    """
    A mirror's tree, taken by this process until ``close``.

    Every method may raise a VolumeError that says what to do about it.

    Args:
        root: nginx's document root; other mirrors may lie beside ``pypi/``.
        mirror_id, known: as for ``Possession``.
        reserve: the share of the file system that is left free.
    """

    @disk_says()
    def __init__(self, root: Path, *, mirror_id: str, known: bool, reserve: float = 0.0) -> None:
        super().__init__(root)
        self._staging = self.base / ".staging"
        self._withdrawn = self.base / ".withdrawn"
        self._reserve = reserve
        self._possession = Possession(self.base, mirror_id=mirror_id, known=known)
        try:
            for directory in ("simple", *(f"packages/{number:02x}" for number in range(256))):
                (self.web / directory).mkdir(parents=True, exist_ok=True)
            for hidden in (self._staging, self._withdrawn):
                hidden.mkdir(mode=0o700, exist_ok=True)
            self.durability = Durability(self.base)
        except BaseException:
            self._possession.release()
            raise

    @property
    def mirror_id(self) -> str:
        """What the tree bears."""
        return self._possession.mirror_id

    def close(self) -> None:
        """Let go of the tree; another syncer may take it."""
        self.durability.close()
        self._possession.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Room

    def check_present(self) -> None:
        """Raise ``VolumeAbsent`` where its disk was unmounted under us; before each run."""
        if not self._possession.present:
            raise VolumeAbsent(
                f"{self.base} has lost its marker: is the disk mounted? Nothing is done until it is back"
            )

    def check_room(self, wanted: int) -> None:
        """Raise ``VolumeFull`` where so many bytes more would touch the reserve, or inodes run out."""
        disk = self.disk()
        if disk.free_bytes - wanted < disk.size_bytes * self._reserve:
            raise VolumeFull(
                f"{self.root}: {disk.free_bytes:,} bytes are free, {wanted:,} are wanted and {self._reserve:.0%} stay "
                "free (MIRROR_DISK_RESERVE): grow the disk, or select less in mirror.toml"
            )
        if disk.free_inodes is not None and disk.free_inodes < _FEWEST_INODES:
            raise VolumeFull(f"{self.root}: {disk.free_inodes} inodes are free: grow the file system")

    # Files

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

    @disk_says()
    def make_directory(self, place: PackagePath) -> None:
        """Make the directory of a full path; those of short ones are there."""
        if place.count("/") == _SHORT:
            return
        self.path(place).parent.mkdir(parents=True, exist_ok=True)

    def write_metadata(self, place: PackagePath, body: bytes) -> None:
        """Store a file's ``.metadata`` beside it (PEP 658)."""
        target = self.path(place).with_name(f"{self.path(place).name}.metadata")
        incoming = Incoming(self._beside_metadata(place), sha256=Sha256(""), size=None, durability=self.durability)
        incoming.restart()
        incoming.write(body)
        incoming.name_it(target, mtime=None)

    @disk_says()
    def remove(self, place: PackagePath) -> None:
        """Remove a file and its metadata; only ever after a ``sync`` later than the page that dropped it."""
        path = self.path(place)
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.metadata").unlink(missing_ok=True)
        self.durability.named(path.parent)

    @disk_says()
    def withdraw(self, place: PackagePath) -> None:
        """Take a file and its metadata out of the document root; ``restore`` brings them back."""
        self._move(self.web, self._withdrawn, place)

    @disk_says()
    def restore(self, place: PackagePath) -> None:
        """Bring a withdrawn file back, if there is one and its place is free."""
        if (self._withdrawn / place).is_file() and not self.path(place).exists():
            self._move(self._withdrawn, self.web, place)

    def _move(self, source: Path, target: Path, place: PackagePath) -> None:
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", ".metadata"):
            with suppress(FileNotFoundError):
                (source / f"{place}{suffix}").rename(target / f"{place}{suffix}")
        for root in (source, target):
            self.durability.named((root / place).parent)

    def _beside(self, place: PackagePath, sha256: Sha256) -> Path:
        path = self.path(place)
        return path.with_name(f".{_token(path.name, sha256)}.part")

    def _beside_metadata(self, place: PackagePath) -> Path:
        return self._beside(PackagePath(f"{place}.metadata"), Sha256(""))

    # Pages

    def stream_list(self) -> StreamedPages:
        """Begin a new project list beside the published one."""
        return StreamedPages(self.web / "simple", durability=self.durability)

    def lists(self) -> bool:
        """Return whether a project list is published, in both formats."""
        return all((self.web / "simple" / form).is_file() for form in ("index.html", "index.v1_json"))

    def stage(self, name: NormalizedName, pages: PageSet) -> StagedPages | None:
        """Write a page beside its forerunner; None where it is published already, byte by byte."""
        directory, files = self.page_directory(name), pages.files()
        with disk_says(directory, cannot_be="read"):
            if published(directory, files):
                return None
        return StagedPages(directory, files=files, durability=self.durability)

    @disk_says()
    def remove_page(self, name: NormalizedName) -> None:
        """Remove a project's page, and its directory."""
        directory = self.page_directory(name)
        if directory.is_dir():
            shutil.rmtree(directory)
            self.durability.named(directory.parent)

    # After a crash

    @disk_says()
    def clean_up(self, name: NormalizedName, places: Iterable[tuple[PackagePath, Sha256]]) -> None:
        """Remove the temporaries of a publication that was broken off."""
        discard_temporaries(self.page_directory(name))
        for place, sha256 in places:
            for path in (self._beside(place, sha256), self._beside_metadata(place)):
                path.unlink(missing_ok=True)

    @disk_says()
    def clean_staging(self) -> None:
        """Remove staged downloads that nobody went on with for a week."""
        for path in self._staging.iterdir():
            if path.stat().st_mtime < time.time() - _STAGED_SECONDS:
                path.unlink()


def _token(filename: str, sha256: Sha256) -> str:
    """Return a short name for a temporary: the longest file name on PyPI leaves no room for a suffix."""
    return hashlib.blake2b(f"{filename}/{sha256}".encode(), digest_size=16).hexdigest()
