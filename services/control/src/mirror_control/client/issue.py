"""An issue that needs a person: what is wrong, since when, what still works, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# The full command for a remedy: the mirror's host has no mirrorctl of its own.
MIRRORCTL = "docker compose exec control mirrorctl"


class HealthLevel(StrEnum):
    """The urgency of an issue, or the health of the mirror."""

    GOOD = "good"
    BUSY = "busy"  # nothing is wrong, but work is unfinished
    WARNING = "warning"  # a person should look soon
    ALARM = "alarm"  # the mirror gets no updates until a person acts


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """
    An issue that needs a person.

    Attributes:
        detail: the message of the syncer or of upstream.
        since: when it began, or the last time it was known to be absent; None if unknown.
        remedy: what to do; commands are in backquotes.
        offers: what the page offers to do: the fields of its form, see ``ui/actions``.
    """

    level: HealthLevel
    title: str
    detail: str | None = None
    since: datetime | None = None
    still_works: str
    remedy: str
    offers: tuple[Mapping[str, str], ...] = ()
