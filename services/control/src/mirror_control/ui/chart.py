"""A chart of downloads over time, drawn by the server: bars in SVG, which need neither scripts nor inline styles."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from mirror_control.client.download_schemas import Day

HEIGHT = 100
"""The height of the highest bar."""
_MAX_BARS = 92


@dataclass(frozen=True, slots=True)
class Bar:
    """The downloads of a day or a week."""

    first: date
    downloads: int
    mirrors: int
    height: float
    """The height of the whole bar."""
    mirrors_height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars from the first to the last day, with none left out."""

    bars: list[Bar]
    days_per_bar: int
    most: int

    @property
    def unit(self) -> str:
        """What a bar stands for."""
        return "day" if self.days_per_bar == 1 else "week"


def draw(days: Iterable[Day], *, since: date, until: date) -> Chart:
    """Return the chart of a range of days; of a long one, a bar is a week."""
    counted = {day.day: day for day in days}
    length = (until - since).days + 1
    step = 1 if length <= _MAX_BARS else 7
    sums: list[tuple[date, int, int]] = []
    for begin in range(0, length, step):
        of_bar = [counted.get(since + timedelta(days=n)) for n in range(begin, min(begin + step, length))]
        found = [day for day in of_bar if day is not None]
        sums.append(
            (since + timedelta(days=begin), sum(day.downloads for day in found), sum(day.mirrors for day in found))
        )
    most = max((downloads for _, downloads, _ in sums), default=0)
    scale = HEIGHT / most if most else 0
    bars = [
        Bar(first, downloads, mirrors, round(downloads * scale, 1), round(mirrors * scale, 1))
        for first, downloads, mirrors in sums
    ]
    return Chart(bars, step, most)
