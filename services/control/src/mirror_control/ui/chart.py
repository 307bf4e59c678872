"""Charts over time, drawn by the server: bars in SVG, which need neither scripts nor inline styles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from mirror_contract import Run
from mirror_control.client.download_schemas import Day
from mirror_control.client.formatting import format_count, format_duration

HEIGHT: Final = 100
"""The height of the highest bar."""
_MAX_BARS: Final = 92
_DAY_SLOT_WIDTH: Final = 10.0
_DAY_BAR_WIDTH: Final = 8.0
# Syncs stand where they began: a pause of the schedule is a gap, and 40 bars leave two thirds of the width.
_SYNCS_WIDTH: Final = 1_000.0
_SYNC_BAR_WIDTH: Final = 8.0


class Value(NamedTuple):
    """What a bar stands for; the part is drawn in another colour."""

    label: str
    value: float
    part: float
    title: str
    """The tooltip."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, and where it stands."""

    label: str
    value: float
    part: float
    title: str
    x: float
    height: float
    """The height of the whole bar."""
    part_height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars from the first to the last, with none left out."""

    bars: list[Bar]
    unit: str
    """What a bar stands for."""
    width: float
    bar_width: float
    most: float


class SyncCharts(NamedTuple):
    """The charts of the last syncs."""

    durations: Chart
    """In seconds."""
    projects: Chart
    """Changed and failed projects; the part is the failed ones."""


def draw_downloads(days: Iterable[Day], *, since: date, until: date) -> Chart:
    """Return the chart of a range of days; of a long one, a bar is a week. The part is what other mirrors took."""
    counted = {day.day: day for day in days}
    length = (until - since).days + 1
    step = 1 if length <= _MAX_BARS else 7
    values = list[Value]()
    for begin in range(0, length, step):
        of_bar = [counted.get(since + timedelta(days=n)) for n in range(begin, min(begin + step, length))]
        found = [day for day in of_bar if day is not None]
        first, downloads = str(since + timedelta(days=begin)), sum(day.downloads for day in found)
        values.append(Value(first, downloads, sum(day.mirrors for day in found), f"{first}: {downloads:,}"))
    places = [number * _DAY_SLOT_WIDTH + 1 for number in range(len(values))]
    unit = "day" if step == 1 else "week"
    return _draw(values, places, unit=unit, width=len(values) * _DAY_SLOT_WIDTH, bar_width=_DAY_BAR_WIDTH)


def draw_syncs(syncs: Sequence[Run]) -> SyncCharts | None:
    """Return the charts of syncs that ended, oldest first; None for fewer than two, which show no course."""
    times = [(sync.started_at, sync.finished_at) for sync in syncs]
    spans = [(began, ended) for began, ended in times if began is not None and ended is not None]
    if len(spans) < 2 or len(spans) < len(syncs):  # noqa: PLR2004 - two
        return None
    durations, projects = list[Value](), list[Value]()
    for sync, (began, ended) in zip(syncs, spans, strict=True):
        label, seconds = f"{began:%Y-%m-%d %H:%M}", (ended - began).total_seconds()
        changed, failed = sync.counts.projects_changed, sync.counts.projects_failed + sync.counts.projects_partial
        durations.append(Value(label, seconds, 0, f"{label}: {format_duration(seconds)}"))
        title = f"{label}: {format_count(changed, 'project')} changed, {failed:,} failed"
        projects.append(Value(label, changed + failed, failed, title))
    places = _places_in_time([began for began, _ in spans])
    drawn = (
        _draw(values, places, unit="sync", width=_SYNCS_WIDTH, bar_width=_SYNC_BAR_WIDTH)
        for values in (durations, projects)
    )
    return SyncCharts(*drawn)


def _places_in_time(moments: Sequence[datetime]) -> list[float]:
    """Return where bars stand, the first at the left and the last at the right."""
    first, last = moments[0].timestamp(), moments[-1].timestamp()
    scale = (_SYNCS_WIDTH - _SYNC_BAR_WIDTH) / max(last - first, 1)
    return [round((moment.timestamp() - first) * scale, 1) for moment in moments]


def _draw(values: Sequence[Value], places: Sequence[float], *, unit: str, width: float, bar_width: float) -> Chart:
    most = max((value.value for value in values), default=0)
    scale = HEIGHT / most if most else 0
    bars = [
        Bar(*value, x=place, height=round(value.value * scale, 1), part_height=round(value.part * scale, 1))
        for value, place in zip(values, places, strict=True)
    ]
    return Chart(bars, unit, width, bar_width, most)
