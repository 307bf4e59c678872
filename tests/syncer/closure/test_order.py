"""Properties: the order of publication."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from mirror_syncer.closure.order import waves

names = st.sampled_from([NormalizedName(f"p{number}") for number in range(8)])
graphs = st.dictionaries(names, st.sets(names))


def reachable(graph: dict[NormalizedName, set[NormalizedName]], start: NormalizedName) -> set[NormalizedName]:
    """Return everything that a project requires, directly or not."""
    found, left = set[NormalizedName](), [start]
    while left:
        for other in graph.get(left.pop(), set()):
            if other not in found:
                found.add(other)
                left.append(other)
    return found


@given(graphs)
def test_requirements_come_first(graph: dict[NormalizedName, set[NormalizedName]]) -> None:
    """What a project requires is in an earlier wave, or in its own if it requires the project in turn."""
    order = waves(graph)
    wave_of = {name: number for number, wave in enumerate(order) for name in wave}
    assert wave_of.keys() == graph.keys()
    for name, required in graph.items():
        for other in required & graph.keys():
            in_a_circle = name in reachable(graph, other)
            assert wave_of[other] == wave_of[name] if in_a_circle else wave_of[other] < wave_of[name]


def test_long_chain_has_an_order() -> None:
    """A chain of 5,000 requirements has an order, though Python's own stack is shorter."""
    chain = [NormalizedName(f"p{number}") for number in range(5_000)]
    graph = {name: {other} for name, other in pairwise(chain)} | {chain[-1]: set()}
    assert [wave[0] for wave in waves(graph)] == chain[::-1]
