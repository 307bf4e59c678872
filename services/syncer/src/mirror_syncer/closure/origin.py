"""Why a release is on the mirror: the chain of requirements that leads to it, and what kind of chain it is."""

from dataclasses import dataclass
from enum import StrEnum

from packaging.utils import NormalizedName

ARROW = " → "
"""In a chain, between a requirement and what that requires."""
WITNESS = "witness of "
"""The beginning of a chain: a proof needs the release, and nothing else does."""
PUSHED_OUT = "was pushed out by newer releases"
"""The end of a chain of one step: the release is published and stays for a while, or a lock names it."""
_SHOWN_STEPS = 6  # at each end of a long chain


@dataclass(frozen=True, slots=True)
class Requirer:
    """Who requires something: a line of ``mirror.toml``, a group, or a release."""

    text: str
    """The line, or the requirement by which it is required itself."""
    project: NormalizedName | None = None
    """None: a line or a group."""
    version: str = ""
    by: "Requirer | None" = None
    is_line: bool = False

    @property
    def chain(self) -> str:
        """The way from a line to here, such as ``requests → urllib3<3,>=1.26``; of a long one both ends."""
        steps, step = [self.text], self.by
        while step is not None:
            steps.append(step.text)
            step = step.by
        steps.reverse()
        more = len(steps) - 2 * _SHOWN_STEPS
        if more > 1:
            steps[_SHOWN_STEPS:-_SHOWN_STEPS] = [f"{more:,} more"]
        return ARROW.join(steps)


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
