"""Times and texts as people read them, on a terminal and on the page."""

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


UNDATED = "pip --uploaded-prior-to refuses the project, uv --exclude-newer these files"
"""What an upload time that upstream does not give, or not as a moment, means to clients."""


def count(number: int, noun: str) -> str:
    """Return how many there are of a thing whose plural ends in s."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit that fits twice."""
    size = round(abs(seconds))
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if size >= 2 * length:
            return f"{size // length} {unit}"
    return f"{size} s"


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """Return how long ago something was, or how soon it will be."""
    if moment is None:
        return "never"
    seconds = round(((now or datetime.now(UTC)) - moment).total_seconds())
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(seconds)}"
