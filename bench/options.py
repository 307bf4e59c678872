"""How everything is run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be asked for besides a scenario."""

    pairs: int
    """Runs of each contender; of other figures, how often each is taken."""
    quick: bool
    ours: bool
    """Without bandersnatch."""
    profile: bool
