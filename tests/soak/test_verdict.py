"""The verdict tells a bad soak from a good one; otherwise half an hour of soak would prove nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from soak.outcome import Outcome
from soak.rates import pypi_times
from soak.samples import ProcessResources, Sample
from soak.verdict import judge

MINUTES = 30
AT_REST = ProcessResources(process=1, memory=80_000_000, descriptors=20, threads=8, tasks=4)


def sample(seconds: float, resources: ProcessResources = AT_REST) -> Sample:
    """Make a sample of both processes."""
    return Sample(seconds=seconds, parent=resources, worker=AT_REST, temporaries=0, catalog=1_000, wal=1_000, lag=0)


def outcome(grown: Callable[[float], ProcessResources] = lambda _: AT_REST) -> Outcome:
    """Make a good soak, except that the parent's resources grow with time."""
    return Outcome(
        minutes=MINUTES,
        projects=10,
        seed=0,
        rates=pypi_times(50),
        before=sample(0),
        samples=[sample(seconds, grown(seconds / 60 / MINUTES)) for seconds in range(0, 60 * MINUTES, 10)],
        after=sample(60 * MINUTES, grown(1)),
        exits=[0],
        seen=[1.0, 2.0],
        looks=100_000,
        converged=1.0,
    )


def missed(what: Outcome) -> list[str]:
    """Return the broken promises."""
    return [figure.subject for figure in judge(what).figures if figure.met is False]


def test_good_soak_keeps_every_promise() -> None:
    """A soak in which nothing grows and nothing is lost keeps every promise."""
    assert missed(outcome()) == []


@pytest.mark.parametrize(
    ("grown", "expected"),
    [
        pytest.param(
            lambda resources, share: replace(resources, memory=int(resources.memory * (1 + share / 8))),
            "resident memory",
            id="memory",
        ),
        pytest.param(
            lambda resources, share: replace(resources, descriptors=20 + int(20 * share)), "descriptors", id="fds"
        ),
        pytest.param(
            lambda resources, share: replace(resources, threads=8 + int(100 * share)), "threads", id="threads"
        ),
        pytest.param(lambda resources, share: replace(resources, tasks=4 + int(2 * share)), "tasks", id="tasks"),
    ],
)
def test_growth_breaks_a_promise(grown: Callable[[ProcessResources, float], ProcessResources], expected: str) -> None:
    """A process that grows by an eighth of its memory, 20 descriptors, 100 threads or two tasks breaks a promise."""
    broken = missed(outcome(lambda share: grown(AT_REST, share)))

    assert broken
    assert all(subject.startswith(expected) for subject in broken)


@pytest.mark.parametrize("what", ["wrong", "changed", "lost", "differences", "unnamed", "tracebacks"])
def test_loss_breaks_a_promise(what: str) -> None:
    """One wrong file, changed URL, lost file, difference, unnamed file or traceback breaks a promise."""
    bad = outcome()
    getattr(bad, what).append("packages/00/six-1.0.tar.gz")

    assert len(missed(bad)) == 1
