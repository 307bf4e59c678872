"""What there is to do about a project, with all that is needed to know for it; it crosses to a worker as a value."""

from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from mirror_syncer.config import Selection, Serve, fingerprint
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.model.serials import SerialBounds


@dataclass(frozen=True, slots=True)
class Work:
    """One project to look at."""

    name: NormalizedName
    priority: Priority
    row: ProjectRow | None
    selection: Selection
    serve: Serve
    grace: int
    """Seconds that a file which the page drops stays."""
    wanted_serial: int | None = None
    """The serial that upstream's list gives it, where one was read: an older page is not its last word. 0: none."""
    bounds: SerialBounds = field(default_factory=SerialBounds)
    """How far serials are believed."""
    force: bool = False
    """Forget validators and check that files are there."""
    shrink: bool = False
    """Let go of what upstream's page lacks, however much that is."""
    unlisted: bool = False
    """Upstream's lists lack it: it is withdrawn, unless its page says that it is quarantined."""
    damaged: frozenset[str] = frozenset()
    """Places whose content is known to be wrong."""
    disputed: frozenset[str] = frozenset()
    """Of these, the places for which upstream never gave the hash that the published page has."""

    @property
    def fingerprint(self) -> str:
        """The policy's: what is published by another one is judged again, though upstream's page did not change."""
        return fingerprint(self.selection, serve=self.serve)

    def outdates(self, serial: int | None) -> bool:
        """Return whether upstream's list tells of a later change than a page of this serial."""
        return serial is not None and self.wanted_serial is not None and serial < self.wanted_serial

    @property
    def seen_serial(self) -> int | None:
        """What upstream's list gives the project as it is looked at now; unchanged where no list was asked."""
        if self.wanted_serial is not None or self.row is None:
            return self.wanted_serial
        return self.row.seen_serial


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One project to take out of the mirror."""

    row: ProjectRow
    reason: str
    grace: int
    """Seconds that its files stay."""
