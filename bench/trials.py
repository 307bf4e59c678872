"""What a trial is: something measured of one program by itself, or beside another, that is no sync of a corpus."""

from collections.abc import Callable
from typing import Protocol

from bench.figures import Figures
from bench.ground import Ground
from bench.machine import machine
from bench.options import Options


class Trial(Protocol):
    """Something to be measured."""

    @property
    def name(self) -> str:
        """What it is asked for by."""

    @property
    def what(self) -> str:
        """What it measures, in a few words."""

    def run(self, options: Options, ground: Ground) -> Figures:
        """
        Measure.

        Raises:
            RuntimeError: what was done is not what there was to do, so that there are no figures.
        """


def figures_of(trial: Trial, options: Options, **versions: str) -> Figures:
    """Return the figures of a trial, none yet."""
    return Figures(
        scenario=trial.name, what=trial.what, quick=options.quick, machine=machine(), versions=dict(versions)
    )


def in_turns(number: int, *dispatcher: Callable[[], object]) -> None:
    """Let each have its turn, in the other order every other time: none always comes after another."""
    for turn in dispatcher[:: -1 if number % 2 else 1]:
        turn()
