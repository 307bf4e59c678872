"""Options of a benchmark run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run; the scenarios are passed separately."""

    pairs: int
    """Runs of each contender; for other figures, measurements of each."""
    quick: bool
    ours: bool
    """Skip bandersnatch."""
    profile: bool
