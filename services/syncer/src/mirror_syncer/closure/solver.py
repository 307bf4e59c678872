"""
Find releases that together satisfy some requirements on one machine, or say why there are none.

PubGrub decides, by ``nab_resolver``, which asks a ``provider``. What it does not know are the conditions under
which pip takes pre-releases and yanked releases: they depend on all requirers together. So releases of that kind are
candidates only for a requirement that takes them by itself, and each solution is checked as pip would. Where that
leaves none, a second search lets in all of them, and a third one passes over each solution that pip refuses.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nab_resolver.errors import ResolutionError, ResolutionTerminatedError
from nab_resolver.resolver import Resolver
from nab_resolver.types import Incompatibility, IncompatibilityCause, RootRequirement, Term
from packaging.utils import NormalizedName

from mirror_syncer.closure.proof import Solution, is_taken
from mirror_syncer.closure.provider import Clause, Clock, DeadlineError, Provider, range_bits
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
    started: float | None = None,
) -> Solution | Refutation:
    """
    Prove that some requirements can be installed together on one machine.

    The answer prefers releases that the mirror keeps, and among equals the newest ones. It does not depend on the
    order of the requirements.

    Args:
        releases: what the machine may install; a call may block.
        memory: to be shared by the solvers of one closure.
        started: when the first of several attempts began, by the limit's clock: they share the time.
    """
    limit = limit or SolveLimit()
    needs = sorted((need for need in roots if releases.counts(need, None)), key=sort_key)
    clock = Clock(limit.seconds, now=limit.clock, started=limit.clock() if started is None else started)
    graph = RequirementGraph(releases, memory or VersionMemory(), clock.check)
    search = _Search(needs, graph, clock, limit.iterations)
    try:
        return search.run()
    except (DeadlineError, ResolutionTerminatedError):
        sentence = f"no answer within {limit.seconds:g} s and {limit.iterations:,} steps"
        return Refutation(tuple(requirement_text(need) for need in needs), (sentence,), is_proved=False)


class _Search:
    """The searches for one answer."""

    def __init__(self, needs: Sequence[Need], graph: RequirementGraph, clock: Clock, iterations: int) -> None:
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
                # Some may have become candidates after their project had no other left.
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
        raise DeadlineError

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
        provider = Provider(self._graph, admission, clauses, frozenset(root.package for root in roots))
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

    def _facts(self, conclusion: Clause | None, admission: Admission) -> Iterator[Fact]:
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
                yield from self._graph.release_facts(first.package, range_bits(first.constraint), last.package)
            elif clause.cause is IncompatibilityCause.NO_VERSIONS:
                yield from self._graph.candidate_facts(first.package, range_bits(first.constraint), admission)
