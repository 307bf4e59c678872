"""The observations of a soak."""

from collections import Counter
from dataclasses import dataclass, field

from soak.rates import Rates
from soak.samples import Sample


@dataclass(slots=True, kw_only=True)
class Outcome:
    """All observations; ``verdict`` judges them."""

    minutes: float
    projects: int
    seed: int
    rates: Rates
    before: Sample
    """At rest, after the first sync."""
    samples: list[Sample] = field(default_factory=list)
    """In order, during the load."""
    changes: Counter[str] = field(default_factory=Counter)
    """Upstream, by kind."""
    requests: int = 0
    """The syncer's."""
    faults: int = 0
    """How many of them met a fault."""
    runs: Counter[str] = field(default_factory=Counter)
    """By kind and state."""
    exits: list[int] = field(default_factory=list)
    """Exit codes of the syncer, stopped as Docker stops it."""
    seen: list[float] = field(default_factory=list)
    """Seconds from each change until a client could see it."""
    looks: int = 0
    """Files that clients read."""
    wrong: list[str] = field(default_factory=list)
    """Files that differed from their page."""
    changed: list[str] = field(default_factory=list)
    """URLs whose bytes changed."""
    lost: list[str] = field(default_factory=list)
    """Files that a page named and that were missing."""
    tracebacks: list[str] = field(default_factory=list)
    """In the log."""

    # After all faults have ended:

    retried: int = 0
    """Projects that faults had delayed, and that were then synced by name."""
    converged: float | None = None
    """Seconds from the last fault until the tree equalled upstream; None: it never did."""
    differences: list[str] = field(default_factory=list)
    unseen: int = 0
    """Changes that were not visible even then."""
    unnamed: list[str] = field(default_factory=list)
    """Files in the tree that no page names."""
    damaged: int = 0
    orphaned: int = 0
    """Files that a full verify found damaged or orphaned."""
    temporaries: int = 0
    pending: int = 0
    """The catalog's rows of unfinished changes."""
    after: Sample | None = None
    """At rest again."""
