"""What an index answers: a page or a list with its validators, nothing new, or that it has no such project."""

from dataclasses import dataclass

from mirror_syncer.model.page import Page
from mirror_syncer.model.validators import Validators

JSON_TYPES = frozenset({"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"})
HTML_TYPES = frozenset({"application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html", "text/html"})


@dataclass(frozen=True, slots=True)
class PageResponse:
    """A page, and the validators of exactly this page."""

    page: Page
    validators: Validators
    body: bytes
    content_type: str
    url: str


@dataclass(frozen=True, slots=True)
class ListResponse:
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
