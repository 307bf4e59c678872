"""How long all proofs of a resolution may be sought: a hostile index makes each of them take as long as it may."""

import time
from collections.abc import Callable

from mirror_syncer.closure.solver import SolveLimit

_SHORT_SECONDS = 2  # a proof over 220 projects takes 0.3 s
_LONG_SECONDS = 20
_ALL_SECONDS = 600


class Patience:
    """
    The time for proofs.

    Each may take 2 s. What some take beyond that, up to 20 s, comes out of 10 minutes for all of them: so thousands of
    lines are proved that need no more, and those that a hostile index makes long cannot hold up a sync for hours.

    Each resolution has its own, although a run with news has up to four: a shared one could be over when a later one
    looks for a proof that took long before. That line would count as not known, and what only its proof needs would
    leave.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._left = float(_ALL_SECONDS)
        self.clock = clock

    @property
    def is_over(self) -> bool:
        """Whether nothing is left for long proofs."""
        return self._left <= 0

    @property
    def limit(self) -> SolveLimit:
        """How long the next proof may take."""
        return SolveLimit(seconds=min(_LONG_SECONDS, _SHORT_SECONDS + int(self._left)), clock=self.clock)

    def note(self, seconds: float) -> None:
        """Note how long a proof took."""
        self._left -= max(0.0, seconds - _SHORT_SECONDS)
