"""
A project's page, and what holds for it whether it came in JSON or in HTML.

Essential reading, in order: PEP 503 (simple index), 592 (yanking), 629 (versioning), 658 and 714 (metadata files),
691 (JSON), 700 (sizes, upload times), 740 (provenance), 792 (project status).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import unquote, urljoin, urlsplit

import msgspec
from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.errors import FileRejected, InvalidPage
from mirror_syncer.names import SIZE_MOST, Filename, Sha256, parse_filename, parse_sha256
from mirror_syncer.serials import SERIAL_MOST

# PEP 629: clients refuse a major version that they do not know, and so do we.
_API_VERSION = re.compile(r"1\.[0-9]{1,4}")
# PEP 700: ISO 8601, UTC with a Z, at most six digits of a second
_UPLOAD_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
# PEP 740: fully qualified, and https. Nobody but a client ever asks it: it is no place of ours.
_PROVENANCE = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?/[!-~]{0,2000}")
_REFUSALS_MOST = 1_000  # past that it is no page with faults, but no page
_URL_MOST = 8_192
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
# What nearly every URL looks like: of http(s), without a '%', a query or a segment that is '.' or '..'. It needs no
# further look, which takes 30 µs a file.
_PLAIN_URL = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(?::[0-9]{1,4})?(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~+!-]*)+")


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
    versions: tuple[str, ...] = ()
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    serial: int | None = None
    api_version: str = "1.0"


class Entry(msgspec.Struct):
    """What a page says of a file, by the names that PEP 691 has for it; only its types are checked."""

    filename: str
    url: str
    hashes: dict[str, str]
    requires_python: str | None = msgspec.field(name="requires-python", default=None)
    size: int | None = None
    upload_time: str | None = msgspec.field(name="upload-time", default=None)
    yanked: bool | str | None = False
    core_metadata: bool | dict[str, str] | None = msgspec.field(name="core-metadata", default=None)
    # PEP 714: the older name, which PyPI sends beside the newer
    data_dist_info_metadata: bool | dict[str, str] | None = msgspec.field(name="data-dist-info-metadata", default=None)
    provenance: str | None = None


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


def sort_out(candidates: Iterable[File | Refusal], *, url: str) -> tuple[tuple[File, ...], tuple[Refusal, ...]]:
    """
    Part what a page names into files, their URLs made absolute, and refusals; a name's second entry is refused.

    Args:
        url: the page's own, which the files' may be relative to.

    Raises:
        InvalidPage: there are more refusals than a page with faults has.
    """
    files: dict[str, File] = {}
    refused: list[Refusal] = []
    for candidate in candidates:
        if isinstance(candidate, Refusal):
            refused.append(candidate)
            if len(refused) > _REFUSALS_MOST:
                raise InvalidPage(f"more than {_REFUSALS_MOST:,} of its entries cannot be used, such as {candidate}")
        elif candidate.filename in files:
            refused.append(Refusal(candidate.filename, "the page names it twice"))
        else:
            try:
                files[candidate.filename] = msgspec.structs.replace(candidate, url=_absolute(url, candidate.url))
            except FileRejected as error:
                refused.append(Refusal(candidate.filename, str(error)))
    return tuple(files.values()), tuple(refused)


def make_file(entry: Entry) -> File | Refusal:
    """Make a file of an entry, or say why there is none: its name or digest is none, or it has no sha256."""
    try:
        return _file(entry)
    except FileRejected as error:
        return Refusal(entry.filename[:255], str(error))


def _file(entry: Entry) -> File:
    filename = parse_filename(entry.filename)
    if (sha256 := entry.hashes.get("sha256")) is None:
        raise FileRejected("the page gives no sha256, so that its content could not be checked")
    size = entry.size
    if size is not None and not 0 <= size <= SIZE_MOST:
        raise FileRejected(f"the page gives it {size:,} bytes; a file has {SIZE_MOST:,} at most")
    metadata = entry.data_dist_info_metadata if entry.core_metadata is None else entry.core_metadata
    return File(
        filename=filename,
        url=entry.url,
        sha256=parse_sha256(sha256),
        size=size,
        upload_time=entry.upload_time if _is_moment(entry.upload_time or "") else None,
        requires_python=entry.requires_python or None,
        yanked=entry.yanked or False,
        core_metadata=_core_metadata(metadata),
        provenance=entry.provenance if _PROVENANCE.fullmatch(entry.provenance or "") else None,
    )


def _is_moment(text: str) -> bool:
    # uv refuses a page whole for one time that is none, such as the 31st of February.
    try:
        return _UPLOAD_TIME.fullmatch(text) is not None and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _core_metadata(said: bool | dict[str, str] | None) -> Sha256 | bool:  # noqa: FBT001 - PEP 714's own values
    if isinstance(said, dict):
        return parse_sha256(said["sha256"]) if "sha256" in said else bool(said)
    return bool(said)


def _absolute(page: str, url: str) -> str:
    """Return a file's absolute URL without its fragment; dot segments, even encoded ones, are refused."""
    if len(url) <= _URL_MOST and _PLAIN_URL.fullmatch(url):
        return url
    if len(url) > _URL_MOST:
        raise FileRejected(f"its URL has {len(url):,} characters, more than {_URL_MOST:,}")
    try:
        parts = urlsplit(url)
        absolute = urljoin(page, url)
        whole = urlsplit(absolute)
        _ = whole.port  # which is checked only when it is asked for
    except ValueError as error:
        raise FileRejected(f"its URL {url[:200]!r} is none: {error}") from error
    path = parts.path
    if not (parts.scheme or parts.netloc):
        # Static mirrors write '../../packages/…' and mean it; urljoin keeps that below the host.
        while path.startswith(("../", "./")):
            path = path.partition("/")[2]
    if {".", ".."} & set(unquote(path).replace("\\", "/").split("/")):
        raise FileRejected(f"its URL {url[:200]!r} climbs out of its directory ('..')")
    if whole.scheme not in ("http", "https") or _UNPRINTABLE.search(absolute):
        raise FileRejected(f"its URL {url[:200]!r} is not http(s)")
    return absolute.partition("#")[0]
