"""Read access to the tree, for its owner and for commands without the lock."""

import os
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from packaging.utils import NormalizedName

from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.digests import OtherDigest
from mirror_syncer.model.names import MAX_NAME_BYTES, Filename, PackagePath, Sha256, metadata_name
from mirror_syncer.model.wheel import MAX_METADATA_BYTES
from mirror_syncer.volume.disk import explain_disk_errors, is_absent
from mirror_syncer.volume.hashing import file_digest, file_other_digest, gzip_content_digest, hash_in_pieces, read_file
from mirror_syncer.volume.held_markers import held_at_short_paths, held_text
from mirror_syncer.volume.pages import NAMES, pages_digest
from mirror_syncer.volume.wheel import wheel_metadata

if TYPE_CHECKING:
    from mirror_contract import Disk


class StoredFile(NamedTuple):
    """A file of a directory of short paths."""

    name: str
    size: int
    changed_at: float
    """When it was stored, in seconds since the epoch; its mtime may be the time of its upload to PyPI."""


class View:
    """
    A read-only view of a tree, without its lock. The tree may be missing.

    Every method may raise a VolumeError whose message names the remedy.

    Args:
        root: nginx's document root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "pypi"
        self.web = self.base / "web"
        self._name_max: int | None = None
        # As text: constructing a Path for each of 20.8 M files costs as much as the system call.
        self._web_text = str(self.web)

    @property
    def present(self) -> bool:
        """Whether the tree has its marker; if not, its disk is not mounted, or nothing was ever mirrored."""
        return os.path.lexists(self.base / ".mirror-id")  # never raises, even without the disk

    @explain_disk_errors(cannot_be="read", affects_all=True)
    def marker(self) -> str:
        """Return the id in the tree's marker; empty without a marker."""
        try:
            return (self.base / ".mirror-id").read_text().strip()
        except FileNotFoundError:
            return ""

    @explain_disk_errors(affects_all=True)
    def disk(self) -> "Disk":
        """Return the size of the file system and the space that the syncer may use."""
        return disk_of(self.root)

    # Names

    @property
    def name_max(self) -> int:
        """The maximum length of a file name in bytes: 255, or less on some file systems (eCryptfs: 143)."""
        if self._name_max is None:
            with explain_disk_errors(self.base, cannot_be="read", affects_all=True):
                self._name_max = min(os.statvfs(self.base).f_namemax or MAX_NAME_BYTES, MAX_NAME_BYTES)
        return self._name_max

    def check_name(self, filename: Filename) -> None:
        """Raise ``FileRejectedError`` if a file name is too long for the file system."""
        if (length := len(filename.encode())) > self.name_max:
            raise FileRejectedError(
                f"its name has {length} bytes, but the file system of MIRROR_DATA takes at most {self.name_max}: "
                "ext4, XFS, btrfs and ZFS take 255"
            )

    def keeps_metadata(self, filename: Filename) -> bool:
        """Return whether the file system can hold the name of a file's ``.metadata`` (PEP 658)."""
        return len(metadata_name(filename).encode()) <= self.name_max

    # Files

    def path(self, place: PackagePath) -> Path:
        """Return the path of a file."""
        return self.web / place

    def digest(self, place: PackagePath) -> Sha256 | None:
        """Return the sha256 of the file at a place, or None if there is none. It blocks for the disk."""
        return file_digest(f"{self._web_text}/{place}")

    def other_digest(self, place: PackagePath, like: OtherDigest) -> OtherDigest | None:
        """Return a digest of the file at a place by the algorithm of ``like``, or None if there is none. It blocks."""
        return file_other_digest(f"{self._web_text}/{place}", like)

    def hash_in_pieces(self, place: PackagePath, *, piece: int) -> Generator[int, None, Sha256 | None]:
        """Compute the sha256 of the file at a place in pieces, as in ``hashing.hash_in_pieces``."""
        return hash_in_pieces(f"{self._web_text}/{place}", piece=piece)

    def size(self, place: PackagePath) -> int | None:
        """Return the size of the file at a place in bytes, or None if there is no regular file."""
        return file_size(f"{self._web_text}/{place}")

    @explain_disk_errors(cannot_be="read")
    def open_file(self, place: PackagePath) -> BinaryIO | None:
        """Open the file at a place for reading, or return None if there is none."""
        try:
            return self.path(place).open("rb")
        except FileNotFoundError:
            return None

    @explain_disk_errors(cannot_be="read")
    def metadata_head(self, place: PackagePath, *, most: int = -1) -> bytes | None:
        """Return the beginning of the ``.metadata`` of the file at a place, or all of it; None if there is none."""
        return read_file(f"{self._web_text}/{metadata_name(place)}", most=most)

    def wheel_metadata(self, place: PackagePath, *, max_bytes: int = MAX_METADATA_BYTES) -> bytes | None:
        """Return the METADATA inside the wheel at a place, as in ``wheel.wheel_metadata``."""
        return wheel_metadata(self.path(place), max_bytes=max_bytes)

    @explain_disk_errors(cannot_be="read")
    def uploaded_at(self, place: PackagePath) -> int | None:
        """
        Return the upload time of the file at a place, or else its download time; seconds since the epoch.

        None if the file is missing; ``verify`` reports that.
        """
        try:
            return int(self.path(place).stat().st_mtime)
        except OSError as error:
            if is_absent(error):
                return None
            raise

    @explain_disk_errors(cannot_be="read")
    def held_text(self, place: PackagePath) -> str | None:
        """Return the text with which nginx refuses the file at a place, or None if it serves the file."""
        return held_text(self.web, place)

    def held_at_short_paths(self, digits: str) -> Iterator[tuple[str, float]]:
        """Yield the names in ``packages/<digits>/.held/``, and when each was written."""
        with explain_disk_errors(self.web / "packages" / digits / ".held", cannot_be="read"):
            for name, status in held_at_short_paths(self.web, digits):
                yield name, status.st_ctime

    def files_at_short_paths(self, digits: str) -> Iterator[StoredFile]:
        """
        Yield the files in ``packages/<digits>/``, hidden ones excepted, in any order.

        Raises:
            PathError: the directory cannot be read.
        """
        with explain_disk_errors(cannot_be="read"):
            try:
                entries = os.scandir(self.web / "packages" / digits)
            except FileNotFoundError:
                return
            with entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # it was removed, or the inspection reports it
                    yield StoredFile(entry.name, status.st_size, status.st_ctime)

    # Pages

    def page_directory(self, name: NormalizedName) -> Path:
        """Return the directory of a project's page."""
        return self.web / "simple" / name

    @explain_disk_errors(cannot_be="read")
    def page(self, name: NormalizedName) -> bytes | None:
        """Return a project's published page in JSON, or None if it has none."""
        return read_file(f"{self._web_text}/simple/{name}/index.v1_json")

    def page_bytes(self, name: NormalizedName) -> int | None:
        """Return the size of a project's published page in JSON, or None if it has none."""
        return file_size(f"{self._web_text}/simple/{name}/index.v1_json")

    @explain_disk_errors(cannot_be="read")
    def page_forms(self, name: NormalizedName, *, json: bytes) -> dict[str, bytes]:
        """Return the existing forms of a project's page by file name: the JSON page, as read before, and the others."""
        directory = f"{self._web_text}/simple/{name}"
        found = {form: read_file(f"{directory}/{form}") for form in NAMES if form != "index.v1_json"}
        return {form: body for form, body in found.items() if body is not None} | {"index.v1_json": json}

    @explain_disk_errors(cannot_be="read")
    def page_digest(self, name: NormalizedName) -> str | None:
        """Return ``PageSet.digest`` of a project's published page, or None without a JSON page."""
        if (json := self.page(name)) is None:
            return None
        return pages_digest(read_file(f"{self._web_text}/simple/{name}/index.html") or b"", json)

    @explain_disk_errors(cannot_be="read")
    def list_digests(self, form: str) -> tuple[str | None, str | None]:
        """Return the sha256 of a form of the project list, and of its gzip twin's content; None for a missing file."""
        plain = self.web / "simple" / form
        twin = plain.with_name(f"{form}.gz")
        digest = gzip_content_digest(twin) if twin.is_file() else None
        return file_digest(plain), digest

    @explain_disk_errors(cannot_be="read")
    def page_state(self, name: NormalizedName) -> tuple[int, ...]:
        """Return a value that changes with every change of a project's page; empty without a page."""
        try:
            status = os.stat(f"{self._web_text}/simple/{name}/index.v1_json")  # noqa: PTH116 - text, see above
        except OSError as error:
            if is_absent(error):
                return ()
            raise
        return status.st_ino, status.st_mtime_ns, status.st_size

    def projects(self) -> Iterator[NormalizedName]:
        """Yield the projects that have a page, in arbitrary order."""
        with (
            explain_disk_errors(self.web / "simple", cannot_be="read", affects_all=True),
            os.scandir(self.web / "simple") as entries,
        ):
            for entry in entries:
                if entry.name.startswith("."):
                    continue  # a first page that is not published yet
                if entry.is_dir(follow_symlinks=False) and (Path(entry.path) / "index.v1_json").is_file():
                    yield NormalizedName(entry.name)

    # The legacy JSON API

    def legacy_directory(self, name: NormalizedName) -> Path:
        """Return the directory of a project's legacy document."""
        return self.web / "pypi" / name

    @explain_disk_errors(cannot_be="read")
    def legacy(self, name: NormalizedName) -> bytes | None:
        """Return a project's published legacy document, or None if it has none."""
        return read_file(f"{self.legacy_directory(name)}/json")

    @explain_disk_errors(cannot_be="read")
    def legacy_twin(self, name: NormalizedName) -> bytes | None:
        """Return the compressed ``.gz`` twin of the legacy document, or None if it has none."""
        return read_file(f"{self.legacy_directory(name)}/json.gz")


def file_size(path: str) -> int | None:
    """Return the size of a regular file in bytes, or None if there is none."""
    with explain_disk_errors(path, cannot_be="read"):
        try:
            found = os.lstat(path)
        except OSError as error:
            if is_absent(error) or isinstance(error, NotADirectoryError):
                return None
            raise
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def disk_of(path: Path) -> "Disk":
    """
    Return the size and the free space of a file system.

    Raises:
        OSError: the path does not exist.
    """
    from mirror_contract import Disk  # noqa: PLC0415 - a worker process does without pydantic

    found = os.statvfs(path)
    return Disk(
        size_bytes=found.f_blocks * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
        free_inodes=found.f_favail if found.f_files else None,
    )
