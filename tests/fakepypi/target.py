"""The target of a request, as rules see it."""

from dataclasses import dataclass
from enum import StrEnum, auto


class Endpoint(StrEnum):
    """The kinds of request that a fault can have."""

    ROOT = auto()
    PAGE = auto()
    FILE = auto()
    METADATA = auto()
    LEGACY = auto()
    PROVENANCE = auto()
    XMLRPC = auto()


@dataclass(frozen=True, kw_only=True)
class Target:
    """A request's target, or the targets of a rule: there, None matches any."""

    endpoint: Endpoint | None = None
    project: str | None = None  # normalized
    filename: str | None = None

    def covers(self, request: "Target") -> bool:
        """Whether a rule with this target applies to that request."""
        return (
            self.endpoint in (None, request.endpoint)
            and self.project in (None, request.project)
            and self.filename in (None, request.filename)
        )
