"""
A project's page, and what holds for it whether it came in JSON or in HTML.

Essential reading, in order: PEP 503 (simple index), 592 (yanking), 629 (versioning), 658 and 714 (metadata files),
691 (JSON), 700 (sizes, upload times), 740 (provenance), 792 (project status).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.digests import OtherDigest
from mirror_syncer.errors import InvalidPage
from mirror_syncer.names import (
    Filename,
    Sha256,
)
from mirror_syncer.serials import SERIAL_MOST

# PEP 629: clients refuse a major version that they do not know, and so do we.
_API_VERSION = re.compile(r"1\.[0-9]{1,4}")


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
    """Further contents by names of its files, each refused, too: which one is right, the page does not tell."""
    versions: tuple[str, ...] = ()
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    serial: int | None = None
    api_version: str = "1.0"
    dropped_times: int = 0
    """How many of its files came with an upload time that is no moment, and are published without."""


def parse_status(said: str) -> ProjectStatus:
    """Return a project's status; PEP 792: an unknown marker is to be taken as active."""
    return ProjectStatus(said) if said in set(ProjectStatus) else ProjectStatus.ACTIVE


def parse_serial(said: object) -> int | None:
    """Return a serial, from JSON or from a header's digits; None for anything else and for what no counter reaches."""
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= len(str(SERIAL_MOST)):
        said = int(said)
    return said if type(said) is int and 0 <= said <= SERIAL_MOST else None


def check_name(said: str, *, asked: NormalizedName) -> None:
    """Raise ``InvalidPage`` where a page speaks of another project than was asked for."""
    if canonicalize_name(said) != asked:
        raise InvalidPage(f"the page says that it is of {said[:120]!r}, not of {asked!r}")


def check_api_version(said: str) -> str:
    """Raise ``InvalidPage`` where a page is of a major version that we do not know (PEP 629)."""
    if not _API_VERSION.fullmatch(said):
        raise InvalidPage(f"the page has api-version {said[:20]!r}; this mirror knows 1.x")
    return said
