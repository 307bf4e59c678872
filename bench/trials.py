"""Trials: measurements other than the sync of a corpus."""

from collections.abc import Callable
from typing import Protocol

from bench.figures import Figures
from bench.ground import Ground
from bench.machine import machine
from bench.options import Options


class Trial(Protocol):
    """A measurement."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def what(self) -> str:
        """A short description of the measurement."""

    def run(self, options: Options, ground: Ground) -> Figures:
        """
        Measure.

        Raises:
            RuntimeError: the work differs from the expected work, so there are no figures.
        """


def figures_of(trial: Trial, options: Options, **versions: str) -> Figures:
    """Return empty figures for a trial."""
    return Figures(
        scenario=trial.name, what=trial.what, quick=options.quick, machine=machine(), versions=dict(versions)
    )


def in_turns(number: int, *dispatcher: Callable[[], object]) -> None:
    """Run all of them in turns, in alternating order, so that none always runs second."""
    for turn in dispatcher[:: -1 if number % 2 else 1]:
        turn()
