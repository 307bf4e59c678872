"""What bringing a project's files came to."""

from dataclasses import dataclass, field

from mirror_contract import Failure
from mirror_syncer.names import PackagePath
from mirror_syncer.upstream import File


@dataclass(slots=True)
class Tally:
    """Counts, and the files that are in place now."""

    landed: dict[str, tuple[File, PackagePath]] = field(default_factory=dict)
    """By file name."""
    failures: list[Failure] = field(default_factory=list)
    fetched: int = 0
    fetched_bytes: int = 0
    metadata_fetched: int = 0
    metadata_missing: int = 0
    legacy_fetched: int = 0
    legacy_failed: int = 0
