"""What bringing a project's files came to."""

from dataclasses import dataclass, field

from mirror_contract import Failure


@dataclass(slots=True)
class Tally:
    """Counts, and what could not be had."""

    failures: list[Failure] = field(default_factory=list)
    sought: int = 0
    """Files that were not there."""
    fetched: int = 0
    fetched_bytes: int = 0
    metadata_fetched: int = 0
    metadata_missing: int = 0
    broken_promises: list[Failure] = field(default_factory=list)
    """Wheels whose metadata is not what their page promises; they are published with their own."""
    legacy_fetched: int = 0
    legacy_failed: int = 0
