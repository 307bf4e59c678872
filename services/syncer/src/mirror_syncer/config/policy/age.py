"""The cooldown: how old a file must be before the mirror publishes it, and what need not wait."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from packaging.specifiers import SpecifierSet
from packaging.version import Version

EXPECTED_WITHIN = timedelta(days=14)
"""PyPI accepts further files of a release for two weeks, so wheels that follow its sdist follow it within these."""


@dataclass(frozen=True, slots=True)
class Age:
    """``[age]``: what holds for all projects."""

    min: timedelta = timedelta(0)
    """A file is published when it has been on upstream for this long, by its own upload time (PEP 700)."""
    not_after: datetime | None = None
    """Nothing that was uploaded after this moment is published, however old it gets."""
    hold_unknown: bool = True
    """A file without an upload time is held."""
    locked: bool = True
    """What a lock file pins does not wait."""

    @property
    def is_on(self) -> bool:
        """Whether any file may be held."""
        return bool(self.min) or self.not_after is not None


@dataclass(frozen=True, slots=True)
class Exemption:
    """Versions of one project that need not wait."""

    specifier: SpecifierSet
    until: int | None = None
    """Seconds since the epoch; None: without an end."""
    because: str = ""
    released: bool = False
    """A person released them (``mirrorctl release``): they are published even if no line selects them."""

    def holds(self, version: Version | None, *, now: int) -> bool:
        """Return whether a version need not wait now; files without a version need not, if all versions need not."""
        if self.until is not None and now >= self.until:
            return False
        return not self.specifier if version is None else self.specifier.contains(version, prereleases=True)


def format_moment(seconds: int) -> str:
    """Return a time as messages give it: ``2026-12-04 10:12 UTC``, rounded up to the minute."""
    try:
        moment = datetime.fromtimestamp(-(-seconds // 60) * 60, UTC)
    except (ValueError, OverflowError):
        return "the year 10000"
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def format_duration(duration: timedelta) -> str:
    """Return a duration as messages give it: ``7 days``, ``36 hours``."""
    for unit, seconds in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        number, rest = divmod(int(duration.total_seconds()), seconds)
        if number and not rest:
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return f"{int(duration.total_seconds())} seconds"
