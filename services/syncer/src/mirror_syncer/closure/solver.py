"""
Find releases that together satisfy some requirements on one machine, or say why there are none.

PubGrub decides, by ``nab_resolver``, which no other module imports. What it does not know are the conditions under
which pip takes pre-releases and yanked releases: they depend on all requirers together. So releases of that kind are
candidates only for a requirement that takes them by itself, and each solution is checked as pip would. Where that
leaves none, a second search lets in all of them, and a third one passes over each solution that pip refuses.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nab_resolver.errors import ResolutionError, ResolutionTerminatedError
from nab_resolver.resolver import BaseProvider, Resolver, ResolverObserver
from nab_resolver.types import Incompatibility, IncompatibilityCause, RangeProtocol, RootRequirement, Term
from packaging.utils import NormalizedName

from mirror_syncer.closure.proof import Solution, is_taken
from mirror_syncer.closure.refutation import Fact, Refutation, refute
from mirror_syncer.closure.releases import Releases, requirement_text, sort_key
from mirror_syncer.closure.requirement_graph import Admission, RequirementGraph
from mirror_syncer.closure.version_sets import VersionMemory, VersionSet
from mirror_syncer.model.need import Need

_MAX_SEARCHES = 64  # each passes over one solution that pip refuses; real indexes need one or two


@dataclass(frozen=True, slots=True)
class SolveLimit:
    """How long a solver tries."""

    iterations: int = 50_000
    """Of each search; 220 projects take about 500."""
    seconds: float = 20
    clock: Callable[[], float] = field(default=time.monotonic, compare=False)


class _DeadlineError(Exception):
    """The time is over."""


class _UnsatisfiableError(Exception):
    """A search has proved that there is no solution."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        super().__init__()
        self.facts = facts


def solve(
    roots: Sequence[Need],
    releases: Releases,
    *,
    limit: SolveLimit | None = None,
    memory: VersionMemory | None = None,
) -> Solution | Refutation:
    """
    Prove that some requirements can be installed together on one machine.

    The answer prefers releases that the mirror keeps, and among equals the newest ones. It does not depend on the
    order of the requirements.

    Args:
        releases: what the machine may install; a call may block.
        memory: to be shared by the solvers of one closure.
    """
    limit = limit or SolveLimit()
    needs = sorted((need for need in roots if releases.counts(need, None)), key=sort_key)
    clock = _Clock(limit)
    graph = RequirementGraph(releases, memory or VersionMemory(), clock.check)
    search = _Search(needs, graph, clock, limit.iterations)
    try:
        return search.run()
    except (_DeadlineError, ResolutionTerminatedError):
        sentence = f"no answer within {limit.seconds:g} s and {limit.iterations:,} steps"
        return Refutation(tuple(requirement_text(need) for need in needs), (sentence,), is_proved=False)


class _Search:
    """The searches for one answer."""

    def __init__(self, needs: Sequence[Need], graph: RequirementGraph, clock: "_Clock", iterations: int) -> None:
        self._needs = needs
        self._graph = graph
        self._clock = clock
        self._iterations = iterations
        self._is_narrowed = False
        """Whether a release was left out that another search may take."""

    def run(self) -> Solution | Refutation:
        try:
            return self._search_as_one_requirer()
        except _UnsatisfiableError as error:
            refutation = refute(error.facts)
        if not self._is_narrowed:
            return refutation
        try:
            return self._search_until_taken(Admission(None))
        except _UnsatisfiableError:
            return self._search_each() or refutation

    def _search_as_one_requirer(self) -> Solution:
        """Search among the pre-releases and yanked releases that a requirement takes by itself."""
        while True:
            before = dict(self._graph.admitted)
            try:
                return self._search_until_taken(Admission(self._graph.admitted))
            except _UnsatisfiableError:
                # Some may have become candidates when their project had been tried in vain.
                if not self._is_narrowed or before == self._graph.admitted:
                    raise

    def _search_until_taken(self, admission: Admission) -> Solution:
        """Search until pip takes the solution; leave out the pre-releases of a project where it takes none."""
        while True:
            solution, refused = self._check(self._resolve(admission))
            if not refused:
                return solution
            self._is_narrowed = True
            for name in refused:
                admission.excluded[name] = self._graph.project(name).guarded

    def _search_each(self) -> Solution | None:
        """Search among all releases, and pass over each solution that pip refuses."""
        clauses: list[Incompatibility[str, int]] = []
        for _ in range(_MAX_SEARCHES):
            try:
                pins = self._resolve(Admission(None), clauses)
            except _UnsatisfiableError:
                return None
            solution, refused = self._check(pins)
            if not refused:
                return solution
            # These pins are all that the requirements reach, so no further requirer can make pip take them.
            terms = [Term[str, int](node, VersionSet.singleton(place)) for node, place in sorted(pins.items())]
            clauses.append(Incompatibility(terms, cause=IncompatibilityCause.DERIVED))
        raise _DeadlineError

    def _check(self, pins: Mapping[str, int]) -> tuple[Solution, list[NormalizedName]]:
        """Return the solution, and the projects whose release pip does not take."""
        graph = self._graph
        assignment = {
            graph.nodes[node][0]: graph.version(node, place)
            for node, place in pins.items()
            if graph.nodes[node][1] is None
        }
        solution = Solution.read(assignment, self._needs, graph.releases)
        refused = [
            name
            for name, version in assignment.items()
            if not is_taken(name, version, solution.needs[name], graph.releases)
        ]
        return solution, refused

    def _resolve(self, admission: Admission, clauses: Sequence[Incompatibility[str, int]] = ()) -> Mapping[str, int]:
        """
        Return the place of the release of each node.

        Raises:
            _UnsatisfiableError: there is no solution.
        """
        roots = [
            RootRequirement[str, int](node, VersionSet(bits), need)
            for need in self._needs
            for node, bits in self._graph.targets(need)
        ]
        provider = _Provider(self._graph, admission, clauses, frozenset(root.package for root in roots))
        resolver: Resolver[str, int] = Resolver(
            provider, self._clock, max_iterations=self._iterations, range_type=VersionSet, root_version=0
        )
        try:
            return resolver.resolve(roots)
        except ResolutionTerminatedError:
            raise
        except ResolutionError as error:
            raise _UnsatisfiableError(list(self._facts(error.incompatibility, admission))) from None
        finally:
            self._is_narrowed |= provider.is_narrowed

    def _facts(self, conclusion: "_Clause | None", admission: Admission) -> Iterator[Fact]:
        """Yield what a refutation rests on: the leaves of its tree."""
        stack, seen = [conclusion], set()
        while stack:
            clause = stack.pop()
            if clause is None or id(clause) in seen:
                continue
            seen.add(id(clause))
            first, last = clause.terms[0], clause.terms[-1]
            if clause.cause is IncompatibilityCause.DERIVED:
                stack += [clause.cause_right, clause.cause_left]
            elif clause.cause is IncompatibilityCause.ROOT:
                yield from self._graph.line_facts(clause.origin)
            elif clause.cause is IncompatibilityCause.DEPENDENCY:
                yield from self._graph.release_facts(first.package, _bits(first.constraint), last.package)
            elif clause.cause is IncompatibilityCause.NO_VERSIONS:
                yield from self._graph.candidate_facts(first.package, _bits(first.constraint), admission)


_Clause = Incompatibility[Any, Any]


class _Clock(ResolverObserver[str, int]):
    """Ends a resolver when its time is over, whatever it is at."""

    def __init__(self, limit: SolveLimit) -> None:
        self._now = limit.clock
        self._deadline = limit.clock() + limit.seconds

    def check(self) -> None:
        """
        Compare the time.

        Raises:
            _DeadlineError: it is over.
        """
        if self._now() > self._deadline:
            raise _DeadlineError

    def on_decision(self, package: str, version: int, level: int) -> None:
        """Check the time when a release was chosen, before its requirements are fetched."""
        del package, version, level
        self.check()

    def on_conflict(self, incompatibility: _Clause) -> None:
        """Check the time before a conflict is resolved."""
        del incompatibility
        self.check()

    def on_conflict_step(self, incompatibility: _Clause, **facts: object) -> None:
        """Check the time between the steps of that."""
        del incompatibility, facts
        self.check()

    def on_no_versions(self, package: str, version_range: RangeProtocol[int]) -> None:
        """Check the time when no release was found."""
        del package, version_range
        self.check()


class _Provider(BaseProvider[str, int]):
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
            bits = bits & _bits(self._ranges[name]) or bits
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
        wanted = _bits(version_range) & project.all
        candidates = wanted & self._admission.bits(name, project)
        return candidates, wanted != candidates


def _bits(version_range: RangeProtocol[int]) -> int:
    """Return the bits of a range of the resolver; it knows only those that it was given."""
    if not isinstance(version_range, VersionSet):
        raise TypeError(version_range)
    return version_range.bits
