"""What holds for a project's page in both formats: status, serial, name and version of the API."""

import re

from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import ProjectStatus
from mirror_syncer.model.serials import MAX_SERIAL

# PEP 629: clients refuse a major version that they do not know, and so do we.
_API_VERSION = re.compile(r"1\.[0-9]{1,4}")


def parse_status(said: str) -> ProjectStatus:
    """Return a project's status; PEP 792: an unknown marker is to be taken as active."""
    return ProjectStatus(said) if said in set(ProjectStatus) else ProjectStatus.ACTIVE


def parse_serial(said: object) -> int | None:
    """Return a serial, from JSON or from a header's digits; None for anything else and for what no counter reaches."""
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= len(str(MAX_SERIAL)):
        said = int(said)
    return said if type(said) is int and 0 <= said <= MAX_SERIAL else None


def check_name(said: str, *, asked: NormalizedName) -> None:
    """Raise ``InvalidPageError`` where a page speaks of another project than was asked for."""
    if canonicalize_name(said) != asked:
        raise InvalidPageError(f"the page says that it is of {said[:120]!r}, not of {asked!r}")


def check_api_version(said: str) -> str:
    """Raise ``InvalidPageError`` where a page is of a major version that we do not know (PEP 629)."""
    if not _API_VERSION.fullmatch(said):
        raise InvalidPageError(f"the page has api-version {said[:20]!r}; this mirror knows 1.x")
    return said
