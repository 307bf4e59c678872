"""Units of work for one project: self-contained and picklable, so that they can be sent to a worker process."""

from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from mirror_syncer.config import ProjectPolicy, Serve
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.model.serials import SerialBounds


@dataclass(frozen=True, slots=True)
class Work:
    """One project to refresh."""

    name: NormalizedName
    priority: Priority
    row: ProjectRow | None
    policy: ProjectPolicy
    serve: Serve
    grace: int
    """Seconds for which a file that leaves the page can still be downloaded."""
    fingerprint: str
    """The policy's fingerprint: a page that was published by another one is judged again, even after a 304."""
    wanted_serial: int | None = None
    """The serial that upstream's list gives it, if one was read: an older page is asked for again. 0: none."""
    bounds: SerialBounds = field(default_factory=SerialBounds)
    """How far serials are believed."""
    offline: bool = False
    """Judge by the page that upstream sent last, and do not ask for a new one: the policy or the time has changed."""
    force: bool = False
    """Ignore validators, and check that files are there."""
    shrink: bool = False
    """Remove what upstream no longer has: the deletion guard allows it."""
    defers: bool = False
    """New releases wait for their turn; see ``Condition``."""
    retains: bool = False
    """No version rule takes a file off the page yet; see ``Condition``."""
    unlisted: bool = False
    """Upstream's lists lack it: it is withdrawn unless its page says that it is quarantined."""
    damaged: frozenset[str] = frozenset()
    """Places whose content is known to be wrong."""
    disputed: frozenset[str] = frozenset()
    """Of these, the places for which upstream never gave the hash that the published page has."""

    def outdates(self, serial: int | None) -> bool:
        """Return whether upstream's list has a later change than a page of this serial."""
        return serial is not None and self.wanted_serial is not None and serial < self.wanted_serial

    @property
    def seen_serial(self) -> int | None:
        """The serial that upstream's list gives the project now; unchanged if no list was read."""
        if self.wanted_serial is not None or self.row is None:
            return self.wanted_serial
        return self.row.seen_serial


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One project to remove from the mirror."""

    row: ProjectRow
    reason: str
    grace: int | None
    """Seconds for which its files can still be downloaded; None: it is blocked, and they cannot from now on."""
