"""The responses of an index: a page, a project list, not modified, or no such project."""

from dataclasses import dataclass

from mirror_syncer.model.page import Page
from mirror_syncer.model.validators import Validators

JSON_TYPES = frozenset({"application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"})
HTML_TYPES = frozenset({"application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html", "text/html"})


@dataclass(frozen=True, slots=True)
class PageResponse:
    """A page with its validators."""

    page: Page
    validators: Validators
    body: bytes
    content_type: str
    url: str


@dataclass(frozen=True, slots=True)
class ListResponse:
    """The metadata of a project list, whose body was written to a file."""

    content_type: str
    serial: int | None
    """The serial in the response's header."""
    validators: Validators
    url: str

    @property
    def is_json(self) -> bool:
        """Whether it is JSON (PEP 691) rather than HTML (PEP 503)."""
        return self.content_type in JSON_TYPES


@dataclass(frozen=True, slots=True)
class NotModified:
    """The page or list has not changed."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Upstream has no such project."""

    index_missing: str | None = None
    """A message, if there seems to be no index at all."""
