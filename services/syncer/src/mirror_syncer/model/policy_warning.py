"""The kinds of warnings about the policy."""

from enum import StrEnum


class PolicyWarning(StrEnum):
    """What a warning about the policy concerns; the label of a metric."""

    LOCKS = "locks"  # a lock file cannot be used
    ADVISORIES = "advisories"  # advisories cannot be used, or are stale
    LINES = "lines"  # lines of mirror.toml contradict each other or a lock file
