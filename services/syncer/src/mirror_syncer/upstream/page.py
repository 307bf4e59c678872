"""Parsers common to both formats of a project's page: status, serial, name and API version."""

import re

from packaging.utils import NormalizedName, canonicalize_name

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import ProjectStatus
from mirror_syncer.model.serials import MAX_SERIAL

# PEP 629: clients must refuse an unknown major version, and so does the mirror.
_API_VERSION = re.compile(r"1\.[0-9]{1,4}")


def parse_status(text: str) -> ProjectStatus:
    """Return a project's status; an unknown one means active (PEP 792)."""
    return ProjectStatus(text) if text in set(ProjectStatus) else ProjectStatus.ACTIVE


def parse_serial(text: object) -> int | None:
    """Return a serial from JSON or from a header's digits; None for anything else or over ``MAX_SERIAL``."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SERIAL)):
        text = int(text)
    return text if type(text) is int and 0 <= text <= MAX_SERIAL else None


def check_name(text: str, *, requested: NormalizedName) -> None:
    """Raise ``InvalidPageError`` if a page is not that of the requested project."""
    if canonicalize_name(text) != requested:
        raise InvalidPageError(f"the page is that of {text[:120]!r}, not of {requested!r}")


def check_api_version(text: str) -> str:
    """Return a page's API version; raise ``InvalidPageError`` for an unknown major version (PEP 629)."""
    if not _API_VERSION.fullmatch(text):
        raise InvalidPageError(f"the page has api-version {text[:20]!r}; this mirror supports 1.x")
    return text
