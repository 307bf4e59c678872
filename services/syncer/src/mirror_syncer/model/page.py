"""
A project's page and its files, independent of their source and format.

Essential reading, in order: PEP 503 (simple index), 592 (yanking), 629 (versioning), 658 and 714 (metadata files),
691 (JSON), 700 (sizes, upload times), 740 (provenance), 792 (project status).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from packaging.utils import NormalizedName

from mirror_syncer.model.digests import OtherDigest
from mirror_syncer.model.names import Filename, PackagePath, Sha256


class ProjectStatus(StrEnum):
    """PEP 792's project status markers."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"
    DEPRECATED = "deprecated"


class File(msgspec.Struct, frozen=True):
    """A file of a page, with all its published attributes."""

    filename: Filename
    url: str
    """Absolute on upstream's pages, relative to the page on this mirror's."""
    sha256: Sha256
    size: int | None = None
    """Bytes. PEP 700: mandatory since API version 1.1; HTML pages have none."""
    upload_time: str | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    """PEP 592: the reason, if given. PEP 691: "truthy", so an empty reason means not yanked."""
    core_metadata: Sha256 | bool = False
    """PEP 714: the digest of ``<url>.metadata``; True if it exists and its digest is unknown."""
    provenance: str | None = None
    """PEP 740: MUST be a fully qualified https URL."""
    other_digest: OtherDigest | None = None
    """The digest that an index gave instead of a sha256, and that the download was checked against."""


class HeldFile(msgspec.Struct, frozen=True):
    """A file that our page does not offer for now, as its ``_held`` names it."""

    filename: Filename
    reason: str
    until: int | None = None
    """Seconds since the epoch; None: it is blocked, or waits until mirror.toml changes."""
    place: PackagePath | None = None
    """Where it is, or would be; None if only its download tells."""
    blocked: bool = False
    """mirror.toml or an advisory blocks it; otherwise it waits."""


class Refusal(msgspec.Struct, frozen=True):
    """A file of a page that the mirror refuses."""

    filename: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """A project's page."""

    name: NormalizedName
    files: tuple[File, ...]
    refused: tuple[Refusal, ...] = ()
    contradicting: tuple[File, ...] = ()
    """Refused entries that give other content for a file's name; the page does not say which is right."""
    versions: tuple[str, ...] = ()
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    serial: int | None = None
    api_version: str = "1.0"
    dropped_upload_times: int = 0
    """Number of files with an invalid upload time; they are published without it."""


@dataclass(frozen=True, slots=True)
class PublishedPage:
    """A page that this mirror publishes; files and their places by file name."""

    page: Page
    files: dict[str, File]
    places: dict[str, PackagePath]
    held: tuple[HeldFile, ...] = ()


def names(files: Mapping[str, File], file: File) -> bool:
    """Return whether files, by their names, include one of this name and content."""
    found = files.get(file.filename)
    return found is not None and found.sha256 == file.sha256
