"""What was seen in a soak."""

from collections import Counter
from dataclasses import dataclass, field

from soak.rates import Rates
from soak.samples import Sample


@dataclass(slots=True, kw_only=True)
class Outcome:
    """All of it; ``verdict`` says what it is worth."""

    minutes: float
    projects: int
    seed: int
    rates: Rates
    before: Sample
    """At rest, after the first sync."""
    samples: list[Sample] = field(default_factory=list)
    """One look after another, while all went on."""
    changes: Counter[str] = field(default_factory=Counter)
    """Upstream, by what happened."""
    requests: int = 0
    """The syncer's."""
    faults: int = 0
    """How often one of them met something that goes wrong."""
    runs: Counter[str] = field(default_factory=Counter)
    """By kind and outcome."""
    exits: list[int] = field(default_factory=list)
    """Of the syncer, stopped as Docker does it."""
    seen: list[float] = field(default_factory=list)
    """Seconds from each change until a client could see it."""
    looks: int = 0
    """Files that clients read."""
    wrong: list[str] = field(default_factory=list)
    """Of them, those that were not what their page said."""
    changed: list[str] = field(default_factory=list)
    """URLs that had had other bytes."""
    lost: list[str] = field(default_factory=list)
    """Files that a page named and nobody had."""
    tracebacks: list[str] = field(default_factory=list)
    """The log's."""

    # And in the calm after it:

    retried: int = 0
    """Projects that faults had put off, and that were asked for by name."""
    converged: float | None = None
    """Seconds from the last fault until the tree was what upstream had; None: it never was."""
    differences: list[str] = field(default_factory=list)
    unseen: int = 0
    """Changes that nobody could see even then."""
    unnamed: list[str] = field(default_factory=list)
    """Files in the tree that no page names."""
    damaged: int = 0
    orphaned: int = 0
    """Files that a whole verify found amiss."""
    temporaries: int = 0
    pending: int = 0
    """Rows of the catalog that say what is about to be touched."""
    after: Sample | None = None
    """At rest again."""
