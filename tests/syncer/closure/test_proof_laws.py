"""Laws of a proof over generated indexes, with brute force as the judge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from mirror_syncer.closure.proof import Solution, verify
from mirror_syncer.closure.refutation import Refutation
from mirror_syncer.closure.releases import requirement_text
from mirror_syncer.closure.solver import solve
from mirror_syncer.closure.version_sets import VersionMemory, VersionSet
from mirror_syncer.model.need import Need
from syncer.closure.generated_indexes import ANY, PROJECTS, indexes
from syncer.closure.small_index import SmallIndex, needs

law = settings(max_examples=80)
MACHINE = "any machine"
SETS = st.integers(-64, 64).map(VersionSet)


def assignments(index: SmallIndex) -> Iterator[Mapping[NormalizedName, Version]]:
    """Yield every choice of at most one release of each project."""
    names = [canonicalize_name(name) for name in PROJECTS]
    choices = [[None, *(candidate.version for candidate in index.versions(name))] for name in names]
    for chosen in product(*choices):
        yield {name: version for name, version in zip(names, chosen, strict=True) if version is not None}


def brute_force(index: SmallIndex, roots: Sequence[Need]) -> bool:
    """Return whether any assignment is a proof."""
    return any(not verify(assignment, roots, index) for assignment in assignments(index))


@law
@given(index=indexes(), lines=ANY.lines())
def test_solver_proves_exactly_what_can_be_proved(index: SmallIndex, lines: list[str]) -> None:
    """Each proof passes the check, and there is none only where no choice of releases passes it."""
    roots = needs(*lines)
    answer = solve(roots, index)
    if isinstance(answer, Solution):
        assert verify(answer.assignment, roots, index) == []
    else:
        assert answer.is_proved
        assert not brute_force(index, roots), answer.message(MACHINE)
        assert answer.facts
        assert answer.lines
        assert set(answer.lines) <= {requirement_text(root) for root in roots}


@law
@given(index=indexes(), lines=ANY.lines(), seed=st.integers())
def test_answer_does_not_depend_on_any_order(index: SmallIndex, lines: list[str], seed: int) -> None:
    """The order of the lines, of a page, and of the lines of metadata changes no proof and no refutation."""
    random = Random(seed)
    shuffled = replace(
        index,
        projects={
            name: {
                version: random.sample(texts, len(texts))
                for version, texts in random.sample(list(releases.items()), len(releases))
            }
            for name, releases in index.projects.items()
        },
        asked=[],
    )
    memory = VersionMemory()
    first, second = solve(needs(*lines), index, memory=memory), solve(needs(*lines[::-1]), shuffled, memory=memory)
    if isinstance(first, Refutation):
        assert isinstance(second, Refutation)
        assert second.message(MACHINE) == first.message(MACHINE)
    else:
        assert isinstance(second, Solution)
        assert spelled(second) == spelled(first)
        assert second.needs == first.needs
    assert set(shuffled.asked) == set(index.asked)


@law
@given(index=indexes(), lines=ANY.lines())
def test_proof_is_stable_once_it_is_kept(index: SmallIndex, lines: list[str]) -> None:
    """What a proof needs is kept; the next proof then needs the same."""
    answer = solve(needs(*lines), index)
    if isinstance(answer, Refutation):
        return
    kept = frozenset(f"{name} {version}" for name, version in answer.assignment.items())
    again = solve(needs(*lines), replace(index, kept=kept, asked=[]))
    assert isinstance(again, Solution)
    assert spelled(again) == spelled(answer)


@law
@given(one=SETS, other=SETS)
def test_sets_of_releases_obey_the_laws_of_the_resolver(one: VersionSet, other: VersionSet) -> None:
    """A resolver ends only if difference and union agree, and its relation says what both answers say."""
    assert one.is_subset((one - other) | other)
    assert (one - other) == (one & ~other)
    assert one.relation(other) == (one.is_subset(other), one.is_disjoint(other))
    assert one.is_superset(other) == other.is_subset(one)
    assert (one & ~one).is_empty
    assert one.is_subset(VersionSet.full())


def spelled(solution: Solution) -> dict[str, str]:
    """Return an assignment by the text of its versions."""
    return {name: str(version) for name, version in solution.assignment.items()}
