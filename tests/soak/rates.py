"""PyPI's rate of change, and multiples of it."""

from dataclasses import dataclass

_MINUTES_A_DAY = 24 * 60
# PyPI's blog of 2025-12-31: 3.9 million new files and 130,000 new projects in the year.
_FILES = 3_900_000 / 365 / _MINUTES_A_DAY
_PROJECTS = 130_000 / 365 / _MINUTES_A_DAY
# The journal: 24.9 million on 2024-09-05 (warehouse's documentation), about 40 million in the middle of August 2026.
_LINES = (40_000_000 - 24_900_000) / 709 / _MINUTES_A_DAY
_FILES_A_RELEASE = 2  # here: a wheel and a source distribution
_LINES_A_RELEASE = 1 + _FILES_A_RELEASE  # "new release", and a line a file


@dataclass(frozen=True, slots=True)
class Rates:
    """Changes upstream per minute."""

    projects: float
    """New ones, each with its first release."""
    releases: float
    """Further ones."""
    others: float
    """All other journal lines: yanks, removals, quarantine, invitations."""

    @property
    def changes(self) -> float:
        """All changes."""
        return self.projects + self.releases + self.others

    @property
    def files(self) -> float:
        """The files of all releases."""
        return (self.projects + self.releases) * _FILES_A_RELEASE


def pypi_times(factor: float) -> Rates:
    """Return a multiple of PyPI's rates: 7.4 files, 0.25 projects and 14.8 journal lines a minute."""
    releases = _FILES / _FILES_A_RELEASE
    others = _LINES - releases * _LINES_A_RELEASE - _PROJECTS  # a new project has one line more, "create"
    return Rates(_PROJECTS * factor, (releases - _PROJECTS) * factor, others * factor)
