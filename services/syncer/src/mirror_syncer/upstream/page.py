"""Parsers common to both formats of a project's page: status, serial, name and API version."""

import re

from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import ProjectStatus
from mirror_syncer.model.serials import MAX_SERIAL

# PEP 629: clients must refuse an unknown major version, and so does the mirror.
_API_VERSION = re.compile(r"1\.[0-9]{1,4}")


def parse_status(said: str) -> ProjectStatus:
    """Return a project's status; an unknown one means active (PEP 792)."""
    return ProjectStatus(said) if said in set(ProjectStatus) else ProjectStatus.ACTIVE


def parse_serial(said: object) -> int | None:
    """Return a serial from JSON or from a header's digits; None for anything else or over ``MAX_SERIAL``."""
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= len(str(MAX_SERIAL)):
        said = int(said)
    return said if type(said) is int and 0 <= said <= MAX_SERIAL else None


def check_name(said: str, *, asked: NormalizedName) -> None:
    """Raise ``InvalidPageError`` if a page is not that of the requested project."""
    if canonicalize_name(said) != asked:
        raise InvalidPageError(f"the page is that of {said[:120]!r}, not of {asked!r}")


def check_api_version(said: str) -> str:
    """Return a page's API version; raise ``InvalidPageError`` for an unknown major version (PEP 629)."""
    if not _API_VERSION.fullmatch(said):
        raise InvalidPageError(f"the page has api-version {said[:20]!r}; this mirror supports 1.x")
    return said
