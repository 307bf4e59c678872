"""What a project's page is made of: files, their release, and the listing of both at one serial."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b, md5, sha256

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


class Status(StrEnum):
    """A project's status (PEP 792), and one for what has no page to say so."""

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
        """The hash of the metadata that is offered beside it."""
        return None if self.metadata is None else sha256(self.metadata).hexdigest()

    @cached_property
    def md5(self) -> str:
        """The storage's ETag."""
        return md5(self.content).hexdigest()

    @cached_property
    def blake2b_256(self) -> str:
        """The hash that the path is made of."""
        return blake2b(self.content, digest_size=32).hexdigest()

    @property
    def path(self) -> str:
        """Where the file host keeps it, unquoted."""
        digits = self.blake2b_256
        return f"packages/{digits[:2]}/{digits[2:4]}/{digits[4:]}/{self.filename}"

    @property
    def python_version(self) -> str:
        """The journal's and the legacy API's word for what it runs on."""
        return self.filename.split("-")[-3] if self.is_wheel else "source"

    @property
    def is_wheel(self) -> bool:
        """Whether it is a built distribution."""
        return self.filename.endswith(".whl")


@dataclass(kw_only=True)
class Release:
    """A version, and what is said of all its files at once."""

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
    """What a project's page says at one serial; nothing that happens later changes it."""

    display_name: str
    serial: int
    status: Status
    files: tuple[ListedFile, ...]

    @property
    def name(self) -> str:
        """Normalized."""
        return canonicalize_name(self.display_name)


def list_files(releases: Iterable[Release]) -> tuple[ListedFile, ...]:
    """Return the files of all releases in warehouse's order, without those in quarantine."""
    files = (
        ListedFile(file=file, requires_python=release.requires_python, yanked=release.yanked)
        for release in releases
        if not release.quarantined
        for file in release.files.values()
    )
    return tuple(sorted(files, key=lambda listed: (version_key(listed.file.version), listed.file.filename)))


def version_key(version: str) -> tuple[bool, Version, str]:
    """Order versions as warehouse does: those that PEP 440 does not know come first."""
    try:
        return True, Version(version), ""
    except InvalidVersion:
        return False, Version("0"), version
