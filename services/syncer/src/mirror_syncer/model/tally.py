"""What bringing a project's files came to."""

from dataclasses import dataclass, field

from mirror_contract import Failure


@dataclass(slots=True)
class Tally:
    """Counts, and what could not be had."""

    failures: list[Failure] = field(default_factory=list)
    files_needed: int = 0
    """Files that were not there."""
    fetched: int = 0
    fetched_bytes: int = 0
    metadata_fetched: int = 0
    metadata_missing: int = 0
    times_dropped: int = 0
    """Upload times that are no moment; their files are published without one."""
    unusable: bool = False
    """A path of the tree could not be read or written; it may be one file's, or the whole tree's."""
    broken_promises: list[Failure] = field(default_factory=list)
    """Wheels whose metadata is not what their page promises; they are published with their own."""
    legacy_fetched: int = 0
    legacy_failed: int = 0
