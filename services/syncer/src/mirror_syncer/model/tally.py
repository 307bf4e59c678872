"""The results of downloading a project's files."""

from dataclasses import dataclass, field

from mirror_contract import Failure


@dataclass(slots=True)
class Tally:
    """Counts of downloads, with their failures."""

    failures: list[Failure] = field(default_factory=list)
    files_needed: int = 0
    """Files that were not in the tree."""
    fetched: int = 0
    fetched_bytes: int = 0
    metadata_fetched: int = 0
    metadata_missing: int = 0
    times_dropped: int = 0
    """Invalid upload times; their files are published without one."""
    unusable: bool = False
    """A path of the tree could not be read or written, which may affect one file or the whole tree."""
    broken_promises: list[Failure] = field(default_factory=list)
    """Wheels whose metadata does not match the digest on their page; they are published with that of the wheel."""
    legacy_fetched: int = 0
    legacy_failed: int = 0
