"""The timings in order, and their summaries."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.corpus import Corpus
from bench.measure import Cost
from bench.sheet import Sheet

BASELINE = "bandersnatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One timed run."""

    contender: str
    projects: int
    files: int
    bytes: int
    cost: Cost

    @classmethod
    def of(cls, contender: str, corpus: Corpus, cost: Cost) -> "Timing":
        """Combine a cost with the work that it paid for."""
        return cls(
            contender=contender,
            projects=len(corpus.projects),
            files=corpus.file_count,
            bytes=corpus.byte_count,
            cost=cost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The medians of one contender's runs over one corpus."""

    contender: str
    projects: int
    files: int
    bytes: int
    runs: int
    wall: float
    fastest: float
    slowest: float
    user: float
    system: float
    rss: int
    times_baseline: float | None
    """The speedup over the baseline of the same scenario and run."""


@dataclass(slots=True, kw_only=True)
class Results(Sheet):
    """The results of a scenario."""

    timings: list[Timing] = field(default_factory=list)

    def summaries(self) -> list[Summary]:
        """Return a summary for each size and contender, smaller sizes first."""
        groups: dict[tuple[int, str], list[Timing]] = {}
        for timing in self.timings:
            groups.setdefault((timing.projects, timing.contender), []).append(timing)
        return [self._summary(groups[key], groups.get((key[0], BASELINE))) for key in sorted(groups)]

    def document(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return {**asdict(self), "summaries": [asdict(summary) for summary in self.summaries()]}

    def _summary(self, timings: Sequence[Timing], baseline: Sequence[Timing] | None) -> Summary:
        walls = [timing.cost.wall for timing in timings]
        wall = statistics.median(walls)
        against = statistics.median(timing.cost.wall for timing in baseline) / wall if baseline else None
        return Summary(
            contender=timings[0].contender,
            projects=timings[0].projects,
            files=timings[0].files,
            bytes=timings[0].bytes,
            runs=len(timings),
            wall=wall,
            fastest=min(walls),
            slowest=max(walls),
            user=statistics.median(timing.cost.user for timing in timings),
            system=statistics.median(timing.cost.system for timing in timings),
            rss=round(statistics.median(timing.cost.rss for timing in timings)),
            times_baseline=against,
        )
