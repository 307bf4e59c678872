"""A command to measure."""

from dataclasses import dataclass

from bench.corpus import Shape

_SMALL = {"smallest": 500, "largest": 5_000}
_LARGE = {"smallest": 1_000_000, "largest": 24_600_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A corpus, the network to it, and the timed part of the work."""

    name: str
    what: str
    shape: Shape
    quick: Shape
    distant: bool = False
    """Whether to use TLS with a round trip of 40 ms instead of local HTTP."""
    again: bool = False
    """Whether to time the second run over the same tree instead of the first."""
    sizes: tuple[int, ...] = ()
    """For growth: numbers of the corpus' projects for first runs, one pair each."""
    quick_sizes: tuple[int, ...] = ()


SCENARIOS = (
    Scenario(
        name="wide",
        what="many small files, first sync",
        shape=Shape(projects=4_000, releases=2.25, **_SMALL),
        quick=Shape(projects=400, releases=2.25, **_SMALL),
    ),
    Scenario(
        name="heavy",
        what="few large files, first sync",
        shape=Shape(projects=22, releases=4, **_LARGE),
        quick=Shape(projects=3, releases=4, **_LARGE),
    ),
    Scenario(
        name="tls",
        what="many small files, first sync, over TLS and 40 ms, 10 connections each",
        shape=Shape(projects=1_000, releases=2.25, **_SMALL),
        quick=Shape(projects=100, releases=2.25, **_SMALL),
        distant=True,
    ),
    Scenario(
        name="noop",
        what="many small files, nothing changed since the last sync",
        shape=Shape(projects=4_000, releases=2.25, **_SMALL),
        quick=Shape(projects=400, releases=2.25, **_SMALL),
        again=True,
    ),
    Scenario(
        name="growth",
        what="first sync of ever more projects",
        shape=Shape(projects=32_000, releases=1, **_SMALL),
        quick=Shape(projects=2_000, releases=1, **_SMALL),
        sizes=(1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
        quick_sizes=(500, 1_000, 2_000),
    ),
)
