"""What an index answers: a page or a list with its validators, nothing new, or that it has no such project."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mirror_syncer.upstream.page import Page

JSON_TYPES = frozenset({"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"})
HTML_TYPES = frozenset({"application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html", "text/html"})
# RFC 9110 5.5: no control characters, which would end the line that it is sent back in. PyPI's ETags have 24
# characters; 8 kB of them upstream itself would refuse, now and ever after.
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class Validators:
    """What makes the next request conditional. PyPI sends strong ETags, static mirrors both, some neither."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Return the validators of an answer, without what must not be sent back."""
        said = (headers.get(key, "") for key in ("etag", "last-modified"))
        return cls(*(value if _VALIDATOR.fullmatch(value) else None for value in said))


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """A page, and the validators of exactly this page."""

    page: Page
    validators: Validators
    body: bytes
    content_type: str
    url: str


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """What came with the project list, whose body was poured into a file."""

    content_type: str
    serial: int | None
    """What the header says."""
    validators: Validators
    url: str

    @property
    def is_json(self) -> bool:
        """Whether it is in JSON (PEP 691); else it is in HTML (PEP 503)."""
        return self.content_type in JSON_TYPES


@dataclass(frozen=True, slots=True)
class NotModified:
    """The page is what it was."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Upstream has no such project."""

    index_missing: str | None = None
    """Where there seems to be no index at all, a sentence about that."""
