"""What ``nab_resolver`` calls while it searches: a provider of releases and requirements, and a clock."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nab_resolver.resolver import BaseProvider, ResolverObserver
from nab_resolver.types import Incompatibility, RangeProtocol

from mirror_syncer.closure.requirement_graph import Admission, RequirementGraph
from mirror_syncer.closure.version_sets import VersionSet

Clause = Incompatibility[Any, Any]


class DeadlineError(Exception):
    """The time is over."""


class Clock(ResolverObserver[str, int]):
    """
    Ends a resolver when its time is over, whatever it is at.

    Args:
        started: by the time that ``now`` returns.
    """

    def __init__(self, seconds: float, *, now: Callable[[], float], started: float) -> None:
        self._now = now
        self._deadline = started + seconds

    def check(self) -> None:
        """
        Compare the time.

        Raises:
            DeadlineError: it is over.
        """
        if self._now() > self._deadline:
            raise DeadlineError

    def on_decision(self, package: str, version: int, level: int) -> None:
        """Check the time when a release was chosen, before its requirements are fetched."""
        del package, version, level
        self.check()

    def on_conflict(self, incompatibility: Clause) -> None:
        """Check the time before a conflict is resolved."""
        del incompatibility
        self.check()

    def on_conflict_step(self, incompatibility: Clause, **facts: object) -> None:
        """Check the time between the steps of that."""
        del incompatibility, facts
        self.check()

    def on_no_versions(self, package: str, version_range: RangeProtocol[int]) -> None:
        """Check the time when no release was found."""
        del package, version_range
        self.check()


class Provider(BaseProvider[str, int]):
    """The graph of requirements as the resolver asks for it."""

    def __init__(
        self,
        graph: RequirementGraph,
        admission: Admission,
        clauses: Sequence[Incompatibility[str, int]],
        roots: frozenset[str],
    ) -> None:
        self.is_narrowed = False
        self._graph = graph
        self._admission = admission
        self._clauses = list(clauses)
        self._roots = roots
        self._ranges: Mapping[str, RangeProtocol[int]] = {}

    def choose_version(self, package: str, version_range: RangeProtocol[int]) -> int | None:
        """Choose the most wanted candidate; that of an extra is the one of its project."""
        bits, left_out = self._candidates(package, version_range)
        if not bits:
            self.is_narrowed |= left_out
            return None
        name, extra = self._graph.nodes[package]
        if extra is not None and name in self._ranges:
            bits = bits & range_bits(self._ranges[name]) or bits
        return (bits & -bits).bit_length() - 1

    def has_satisfying_version(self, package: str, version_range: RangeProtocol[int]) -> bool:
        """Return whether there is a candidate."""
        return bool(self._candidates(package, version_range)[0])

    def get_dependencies(self, package: str, version: int) -> Mapping[str, RangeProtocol[int]]:
        """Return what a release requires."""
        return self._graph.edges(package, version)

    def prioritize(
        self,
        package: str,
        version_range: RangeProtocol[int],
        conflict_counts: Mapping[str, int],
        culprit_counts: Mapping[str, int] | None = None,
    ) -> tuple[int, bool, bool, int]:
        """Decide first what has had conflicts, then the lines, extras, and what has the fewest candidates."""
        del culprit_counts
        _, extra = self._graph.nodes[package]
        count = self._candidates(package, version_range)[0].bit_count()
        return -conflict_counts.get(package, 0), package not in self._roots, extra is None, count

    def widen_decision(self, package: str, version: int) -> None:
        """Widen nothing: the requirements of other releases are not known, and to fetch them costs more."""

    def receive_partial_solution_hint(
        self, positive_ranges: Mapping[str, RangeProtocol[int]], decisions: Mapping[str, int]
    ) -> None:
        """Remember what the solution says about the projects of extras."""
        del decisions
        self._ranges = positive_ranges

    def consume_pending_clauses(self) -> list[Incompatibility[str, int]]:
        """Return what the search has to pass over, once."""
        clauses, self._clauses = self._clauses, []
        return clauses

    def _candidates(self, node: str, version_range: RangeProtocol[int]) -> tuple[int, bool]:
        """Return the candidates in a range, and whether it has releases that are none."""
        name, _ = self._graph.nodes[node]
        project = self._graph.project(name)
        wanted = range_bits(version_range) & project.all
        candidates = wanted & self._admission.bits(name, project)
        return candidates, wanted != candidates


def range_bits(version_range: RangeProtocol[int]) -> int:
    """Return the bits of a range of the resolver; it knows only those that it was given."""
    if not isinstance(version_range, VersionSet):
        raise TypeError(version_range)
    return version_range.bits
