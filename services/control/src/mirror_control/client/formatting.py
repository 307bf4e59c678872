"""Times and numbers, formatted for people on a terminal and on the page."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_MINUTE_SECONDS, _HOUR_SECONDS, _DAY_SECONDS = 60, 3600, 86400
_SHOWN_MACHINES = 2

UNDATED_EFFECT = "pip --uploaded-prior-to refuses the project; uv --exclude-newer refuses these files"
"""How clients treat files whose upload time is missing or unreadable."""


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun, which takes a regular plural."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def format_duration(seconds: float) -> str:
    """Return a duration in the largest unit that makes it 2 or more: 119 minutes are "119 min", and 120 "2 h"."""
    size = round(abs(seconds))
    for unit, length in (("d", _DAY_SECONDS), ("h", _HOUR_SECONDS), ("min", _MINUTE_SECONDS)):
        if size >= 2 * length:
            return f"{size // length} {unit}"
    return f"{size} s"


def format_time(moment: datetime | None, *, now: datetime | None = None) -> str:
    """Return a time relative to now, such as ``5 min ago`` or ``in 2 h``; ``never`` for None."""
    if moment is None:
        return "never"
    seconds = round(((now or datetime.now(UTC)) - moment).total_seconds())
    return f"{format_duration(seconds)} ago" if seconds >= 0 else f"in {format_duration(seconds)}"


def format_moment(moment: datetime) -> str:
    """Return a time as ``2026-12-04 10:12 UTC``, rounded up to the minute: by then it has come."""
    utc = moment.astimezone(UTC)
    return f"{utc + timedelta(seconds=-utc.timestamp() % 60):%Y-%m-%d %H:%M} UTC"


def format_deadline(moment: datetime | None, *, now: datetime | None = None) -> str:
    """Return until when something is done at the latest; what is due already is done by the next run."""
    if moment is None or moment <= (now or datetime.now(UTC)):
        return "by the next run"
    return f"{format_time(moment, now=now)} at the latest"


def describe_machines(machines: Sequence[str]) -> str:
    """Return the names of machines; of many, the first two and the number of others."""
    more = len(machines) - _SHOWN_MACHINES
    return ", ".join(machines[:_SHOWN_MACHINES]) + (f" and {more:,} more" if more > 0 else "")
