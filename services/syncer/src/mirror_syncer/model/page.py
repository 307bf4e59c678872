"""
A project's page and its files, as the project speaks of them wherever they came from.

Essential reading, in order: PEP 503 (simple index), 592 (yanking), 629 (versioning), 658 and 714 (metadata files),
691 (JSON), 700 (sizes, upload times), 740 (provenance), 792 (project status).
"""

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
    """One file that a page names, and all that clients want to know of it."""

    filename: Filename
    url: str
    """Absolute where upstream said it, relative to the page in our own."""
    sha256: Sha256
    size: int | None = None
    """Bytes. # PEP 700: mandatory from 1.1 on; upstreams that speak HTML have none."""
    upload_time: str | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    """# PEP 592: the reason, where one is given. PEP 691: "truthy", so that an empty one is none."""
    core_metadata: Sha256 | bool = False
    """# PEP 714: the digest of ``<url>.metadata``; True: it is there, and nobody said what it holds."""
    provenance: str | None = None
    """# PEP 740: MUST be a fully qualified https URL."""
    other_digest: OtherDigest | None = None
    """What an index without sha256 gave instead, by which the content was checked when it came."""


class Refusal(msgspec.Struct, frozen=True):
    """A file that the page names and we will not take."""

    filename: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """A project's page."""

    name: NormalizedName
    files: tuple[File, ...]
    refused: tuple[Refusal, ...] = ()
    contradicting: tuple[File, ...] = ()
    """Further contents under names of its files, each also refused: the page does not say which one is right."""
    versions: tuple[str, ...] = ()
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    serial: int | None = None
    api_version: str = "1.0"
    dropped_times: int = 0
    """How many of its files came with an upload time that is no moment, and are published without."""


@dataclass(frozen=True, slots=True)
class PublishedPage:
    """A page that this mirror publishes; files and their places by file name."""

    page: Page
    files: dict[str, File]
    places: dict[str, PackagePath]
