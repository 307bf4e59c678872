"""The last changing calls, for the page; the log has all of them."""

from collections import deque
from datetime import UTC, datetime
from typing import Final, NamedTuple

MAX_ENTRIES: Final = 200


class AuditEntry(NamedTuple):
    """A changing call of a token holder."""

    time: datetime
    """When control answered."""
    token: str
    """The token's name."""
    right: str
    """The right that the call needed."""
    call: str
    """Method and path."""
    target: str
    """The run, release or line that the call was about; empty if none."""
    run: str
    """The run that the call started or named; empty if none."""
    status: int
    """The answer's status; below 400 the call was done."""


class AuditTrail:
    """The last 200 changing calls since control started, in memory; at most 300 kB."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)
        self._entries = deque[AuditEntry](maxlen=MAX_ENTRIES)

    def add(self, entry: AuditEntry) -> None:
        """Add a call; it takes the place of the oldest one if there are 200."""
        self._entries.append(entry)

    def newest_first(self) -> list[AuditEntry]:
        """Return the calls, the last one first."""
        return list(reversed(self._entries))
