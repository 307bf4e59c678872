"""The content of a project's page: files, their releases, and the listing of both at one serial."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b, md5, sha256

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


class Status(StrEnum):
    """A project's status (PEP 792), or one for a project without a page."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"
    ABSENT = "absent"  # not created yet, or deleted: PyPI answers 404 to both


@dataclass(frozen=True, kw_only=True)
class File:
    """An uploaded distribution."""

    project: str  # normalized
    version: str
    filename: str
    content: bytes = field(repr=False)
    metadata: bytes | None = field(default=None, repr=False)
    uploaded_at: datetime
    provenance: bool = False

    @cached_property
    def sha256(self) -> str:
        """The hash that pages name."""
        return sha256(self.content).hexdigest()

    @cached_property
    def metadata_sha256(self) -> str | None:
        """The hash of the separate metadata file."""
        return None if self.metadata is None else sha256(self.metadata).hexdigest()

    @cached_property
    def md5(self) -> str:
        """The storage's ETag."""
        return md5(self.content).hexdigest()

    @cached_property
    def blake2b_256(self) -> str:
        """The hash that makes the path."""
        return blake2b(self.content, digest_size=32).hexdigest()

    @property
    def path(self) -> str:
        """Its unquoted path on the file host."""
        digits = self.blake2b_256
        return f"packages/{digits[:2]}/{digits[2:4]}/{digits[4:]}/{self.filename}"

    @property
    def python_version(self) -> str:
        """The word for its Python version in journal and legacy API."""
        return self.filename.split("-")[-3] if self.is_wheel else "source"

    @property
    def is_wheel(self) -> bool:
        """Whether it is a built distribution."""
        return self.filename.endswith(".whl")


@dataclass(kw_only=True)
class Release:
    """A version, and the fields that its files share."""

    version: str
    requires_python: str | None = None
    yanked: bool | str = False
    quarantined: bool = False
    files: dict[str, File] = field(default_factory=dict)

    @property
    def wheel(self) -> File:
        """Its first wheel."""
        return next(file for file in self.files.values() if file.is_wheel)

    @property
    def sdist(self) -> File:
        """Its first source distribution."""
        return next(file for file in self.files.values() if not file.is_wheel)


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A file as a page lists it: ``requires-python`` and ``yanked`` are the release's."""

    file: File
    requires_python: str | None
    yanked: bool | str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A project's page at one serial; later changes do not alter it."""

    display_name: str
    serial: int
    status: Status
    files: tuple[ListedFile, ...]

    @property
    def name(self) -> str:
        """The normalized name."""
        return canonicalize_name(self.display_name)


def list_files(releases: Iterable[Release]) -> tuple[ListedFile, ...]:
    """Return the files of all releases in warehouse's order, without quarantined ones."""
    files = (
        ListedFile(file=file, requires_python=release.requires_python, yanked=release.yanked)
        for release in releases
        if not release.quarantined
        for file in release.files.values()
    )
    return tuple(sorted(files, key=lambda listed: (version_key(listed.file.version), listed.file.filename)))


def version_key(version: str) -> tuple[bool, Version, str]:
    """Order versions as warehouse does: versions that PEP 440 does not know come first."""
    try:
        return True, Version(version), ""
    except InvalidVersion:
        return False, Version("0"), version
