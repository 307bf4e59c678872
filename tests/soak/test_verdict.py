"""A soak that went wrong is told from one that went well; otherwise half an hour of it would prove nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from soak.outcome import Outcome
from soak.rates import pypi_times
from soak.samples import Held, Sample
from soak.verdict import judge

MINUTES = 30
AT_REST = Held(process=1, memory=80_000_000, descriptors=20, threads=8, tasks=4)


def sample(seconds: float, held: Held = AT_REST) -> Sample:
    """Make a look at both processes."""
    return Sample(seconds=seconds, parent=held, worker=AT_REST, temporaries=0, catalog=1_000, wal=1_000, lag=0)


def outcome(grown: Callable[[float], Held] = lambda _: AT_REST) -> Outcome:
    """Make a soak that went well, but for what the parent holds after a share of the time."""
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
    """Return the promises that were broken."""
    return [figure.subject for figure in judge(what).figures if figure.met is False]


def test_good_soak_is_good() -> None:
    """Where nothing grows and nothing is lost, every promise is kept."""
    assert missed(outcome()) == []


@pytest.mark.parametrize(
    ("grown", "told"),
    [
        pytest.param(
            lambda held, share: replace(held, memory=int(held.memory * (1 + share / 8))), "resident memory", id="memory"
        ),
        pytest.param(lambda held, share: replace(held, descriptors=20 + int(20 * share)), "descriptors", id="fds"),
        pytest.param(lambda held, share: replace(held, threads=8 + int(100 * share)), "threads", id="threads"),
        pytest.param(lambda held, share: replace(held, tasks=4 + int(2 * share)), "tasks", id="tasks"),
    ],
)
def test_growth_is_told(grown: Callable[[Held, float], Held], told: str) -> None:
    """A process that grows by an eighth of its memory, 20 descriptors, 100 threads or two tasks, is told of."""
    broken = missed(outcome(lambda share: grown(AT_REST, share)))

    assert broken
    assert all(subject.startswith(told) for subject in broken)


@pytest.mark.parametrize("what", ["wrong", "changed", "lost", "differences", "unnamed", "tracebacks"])
def test_anything_lost_is_told(what: str) -> None:
    """One wrong file, changed URL, lost file, difference, file without a page, or traceback is too many."""
    bad = outcome()
    getattr(bad, what).append("packages/00/six-1.0.tar.gz")

    assert len(missed(bad)) == 1
