"""The tree as it is read: by its owner, and beside it by whoever takes nothing."""

import os
import stat
from collections.abc import Generator, Iterator
from pathlib import Path

from packaging.utils import NormalizedName

from mirror_contract import Disk
from mirror_syncer.errors import FileRejectedError
from mirror_syncer.model.digests import OtherDigest
from mirror_syncer.model.names import MAX_NAME_BYTES, Filename, PackagePath, Sha256, metadata_name
from mirror_syncer.volume.disk import explain_disk_errors, is_absent
from mirror_syncer.volume.hashing import file_digest, file_other_digest, gzip_content_digest, hash_in_pieces, read_file
from mirror_syncer.volume.pages import NAMES, pages_digest


class View:
    """
    What may be asked of a tree without holding it; nothing is written, and nothing needs to be there.

    Every method may raise a VolumeError that says what to do about it.

    Args:
        root: nginx's document root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = root / "pypi"
        self.web = self.base / "web"
        self._name_max: int | None = None
        # As text, since a Path made for each of 20.8 M files costs as much as the system call that it is for.
        self._web_text = str(self.web)

    @property
    def present(self) -> bool:
        """Whether the tree bears its marker; without one its disk is not mounted, or nothing was ever mirrored."""
        return os.path.lexists(self.base / ".mirror-id")  # whatever a disk that is not there says

    @explain_disk_errors(affects_all=True)
    def disk(self) -> Disk:
        """Return the size of the file system, and what of it is free for us."""
        found = os.statvfs(self.root)
        return Disk(
            size_bytes=found.f_blocks * found.f_frsize,
            free_bytes=found.f_bavail * found.f_frsize,
            free_inodes=found.f_favail if found.f_files else None,
        )

    # Names

    @property
    def name_max(self) -> int:
        """How many bytes a file's name may have here: 255, where the file system knows no less (eCryptfs: 143)."""
        if self._name_max is None:
            with explain_disk_errors(self.base, cannot_be="read", affects_all=True):
                self._name_max = min(os.statvfs(self.base).f_namemax or MAX_NAME_BYTES, MAX_NAME_BYTES)
        return self._name_max

    def check_name(self, filename: Filename) -> None:
        """Raise ``FileRejectedError`` for a file whose name the file system cannot hold."""
        if (length := len(filename.encode())) > self.name_max:
            raise FileRejectedError(
                f"its name has {length} bytes, and the file system of MIRROR_DATA takes at most {self.name_max}: "
                "ext4, XFS, btrfs and ZFS take 255"
            )

    def keeps_metadata(self, filename: Filename) -> bool:
        """Return whether a file's ``.metadata`` has a name that the file system can hold (PEP 658)."""
        return len(metadata_name(filename).encode()) <= self.name_max

    # Files

    def path(self, place: PackagePath) -> Path:
        """Return where a file lies."""
        return self.web / place

    def digest(self, place: PackagePath) -> Sha256 | None:
        """Return the sha256 of what lies at a place, or None where nothing does. It blocks for the disk."""
        return file_digest(self.path(place))

    def other_digest(self, place: PackagePath, like: OtherDigest) -> OtherDigest | None:
        """Return another digest of what lies at a place, of the same kind; None: nothing does. It blocks likewise."""
        return file_other_digest(self.path(place), like)

    def hash_in_pieces(self, place: PackagePath, *, piece: int) -> Generator[int, None, Sha256 | None]:
        """Take the sha256 of what lies at a place piece by piece, as ``volume.reading`` describes it."""
        return hash_in_pieces(f"{self._web_text}/{place}", piece=piece)

    def size(self, place: PackagePath) -> int | None:
        """Return the bytes of what lies at a place, or None where no plain file does."""
        return file_size(f"{self._web_text}/{place}")

    @explain_disk_errors(cannot_be="read")
    def uploaded_at(self, place: PackagePath) -> int | None:
        """
        Return when what lies at a place was uploaded or, where nobody said, came here; seconds since the epoch.

        None where nothing does: somebody removed it, and ``verify`` tells.
        """
        try:
            return int(self.path(place).stat().st_mtime)
        except OSError as error:
            if is_absent(error):
                return None
            raise

    # Pages

    def page_directory(self, name: NormalizedName) -> Path:
        """Return where a project's page lies."""
        return self.web / "simple" / name

    @explain_disk_errors(cannot_be="read")
    def page(self, name: NormalizedName) -> bytes | None:
        """Return a project's published page in JSON, or None where it has none."""
        return read_file(f"{self._web_text}/simple/{name}/index.v1_json")

    @explain_disk_errors(cannot_be="read")
    def page_forms(self, name: NormalizedName) -> dict[str, bytes]:
        """Return a project's page in every form that lies there, by file name."""
        directory = self.page_directory(name)
        return {form: (directory / form).read_bytes() for form in NAMES if (directory / form).is_file()}

    @explain_disk_errors(cannot_be="read")
    def page_digest(self, name: NormalizedName) -> str | None:
        """Return ``PageSet.digest`` of a project's published page, or None where it has none in JSON."""
        if (json := self.page(name)) is None:
            return None
        return pages_digest(read_file(f"{self._web_text}/simple/{name}/index.html") or b"", json)

    @explain_disk_errors(cannot_be="read")
    def list_digests(self, form: str) -> tuple[str | None, str | None]:
        """Return the sha256 of the project list in a form, and of what its twin holds; None of what is not there."""
        plain = self.web / "simple" / form
        twin = plain.with_name(f"{form}.gz")
        digest = gzip_content_digest(twin) if twin.is_file() else None
        return file_digest(plain), digest

    @explain_disk_errors(cannot_be="read")
    def page_state(self, name: NormalizedName) -> tuple[int, ...]:
        """Return what changes whenever a project's page does; empty where it has none."""
        try:
            status = (self.page_directory(name) / "index.v1_json").stat()
        except OSError as error:
            if is_absent(error):
                return ()
            raise
        return status.st_ino, status.st_mtime_ns, status.st_size

    def projects(self) -> Iterator[NormalizedName]:
        """Yield the projects that have a page, in no order."""
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
        """Return where a project's legacy document lies."""
        return self.web / "pypi" / name

    @explain_disk_errors(cannot_be="read")
    def legacy(self, name: NormalizedName) -> bytes | None:
        """Return a project's published legacy document, or None where it has none."""
        return read_file(f"{self.legacy_directory(name)}/json")

    @explain_disk_errors(cannot_be="read")
    def legacy_twin(self, name: NormalizedName) -> bytes | None:
        """Return its ``.gz`` twin as it lies there, or None where it has none."""
        return read_file(f"{self.legacy_directory(name)}/json.gz")


def file_size(path: str) -> int | None:
    """Return a plain file's bytes, or None where there is none."""
    with explain_disk_errors(path, cannot_be="read"):
        try:
            found = os.lstat(path)
        except OSError as error:
            if is_absent(error) or isinstance(error, NotADirectoryError):
                return None
            raise
    return found.st_size if stat.S_ISREG(found.st_mode) else None
