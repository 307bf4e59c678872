"""Figures other than the cost of a sync, each with its unit and its target."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.sheet import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A quantity, measured several times."""

    subject: str
    contender: str
    unit: str
    samples: tuple[float, ...]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether it meets its target; None without a target."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.median <= self.at_most) and (
            self.at_least is None or self.median >= self.at_least
        )


@dataclass(slots=True, kw_only=True)
class Figures(Sheet):
    """The figures of a trial."""

    facts: list[str] = field(default_factory=list)
    """The conditions of the measurement."""
    figures: list[Figure] = field(default_factory=list)

    def add(
        self,
        subject: str,
        contender: str,
        *samples: float,
        unit: str,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> Figure:
        """Add a figure, and return it."""
        figure = Figure(
            subject=subject, contender=contender, unit=unit, samples=samples, at_most=at_most, at_least=at_least
        )
        self.figures.append(figure)
        return figure

    def document(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        figures = [{**asdict(figure), "median": figure.median, "met": figure.met} for figure in self.figures]
        return {**asdict(self), "figures": figures}
