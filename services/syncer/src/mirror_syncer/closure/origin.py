"""Why a release is on the mirror, by kind; its chain says it in full."""

from enum import StrEnum

ARROW = " → "
"""In a chain, between a requirement and what that requires."""
WITNESS = "witness of "
"""The beginning of a chain: a proof needs the release, and nothing else does."""
PUSHED_OUT = "was pushed out by newer releases"
"""The end of a chain of one step: the release is published and stays for a while, or a lock names it."""


class Origin(StrEnum):
    """What a release is kept for, the strongest reason first."""

    LINE = "lines"
    """A line of ``mirror.toml``, or an item of a group, selects it."""
    REQUIRED = "required"
    """What another kept release requires."""
    WITNESS = "witnesses"
    """A proof, beyond the newest releases."""
    LOCK = "locks"
    """A lock file."""
    OTHER = "others"
    """It stays for a while because it was published, or a person released it."""


def origin_of(chain: str) -> Origin:
    """Return the kind of a chain."""
    if ARROW in chain:
        return Origin.REQUIRED
    if chain.endswith(PUSHED_OUT):
        return Origin.OTHER
    return Origin.WITNESS if chain.startswith(WITNESS) else Origin.LINE
