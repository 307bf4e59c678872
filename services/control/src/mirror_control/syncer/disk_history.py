"""How the free space of the volume changed, and when the volume will be full if it goes on like that."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from pydantic import BaseModel, ValidationError

from mirror_contract import Status
from mirror_control.state import replace_file

log = structlog.get_logger(__name__)

_INTERVAL: Final = timedelta(hours=1)
_KEPT: Final = timedelta(days=60)
_MAX_POINTS: Final = 24 * 60
# Four weekends: a mirror grows on weekdays.
_WINDOW: Final = timedelta(days=30)
_MIN_HISTORY: Final = timedelta(days=3)
_MIN_POINTS: Final = 24
_LONGEST_FORECAST_DAYS: Final = 730
# Below a hundred-thousandth of the volume a day, the slope is noise of logs and of other programs.
_MIN_SHARE_PER_DAY: Final = 0.00001
_MAX_FILE_BYTES: Final = 1 << 20


class _Point(BaseModel):
    at: datetime
    size: int
    free: int
    stored: int


class _Points(BaseModel):
    points: list[_Point] = []


class DiskGrowth(NamedTuple):
    """How the volume fills."""

    bytes_per_day: float
    """Negative: it empties."""
    days_left: float | None
    """None: it does not fill, or takes more than two years."""
    since: datetime
    """When the first point was taken that it follows from."""


class DiskHistory:
    """
    An hourly history of the volume, kept in control's state directory.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = True
        self._points = self._load()

    def record(self, status: Status) -> None:
        """Record the volume, once an hour; a volume of another size begins a new history."""
        if status.disk is None or not status.syncer_up:
            return
        new = _Point(
            at=status.as_of, size=status.disk.size_bytes, free=status.disk.free_bytes, stored=status.stored_bytes
        )
        if self._points and self._points[-1].size != new.size:
            self._points.clear()
        if self._points and not timedelta(0) <= new.at - self._points[-1].at < _INTERVAL:
            self._points = [point for point in self._points if timedelta(0) <= new.at - point.at <= _KEPT]
        elif self._points:
            return
        self._points = [*self._points[-_MAX_POINTS + 1 :], new]
        self._saved = False

    def growth(self, *, now: datetime | None = None) -> DiskGrowth | None:
        """Return how the volume fills; None if the history is shorter than three days."""
        begin = (now or datetime.now(UTC)) - _WINDOW
        points = [point for point in self._points if point.at >= begin]
        if len(points) < _MIN_POINTS or points[-1].at - points[0].at < _MIN_HISTORY:
            return None
        slope = _slope([((point.at - points[0].at) / timedelta(days=1), float(-point.free)) for point in points])
        last = points[-1]
        days = last.free / slope if slope > _MIN_SHARE_PER_DAY * last.size else None
        return DiskGrowth(slope, days if days is not None and days <= _LONGEST_FORECAST_DAYS else None, points[0].at)

    def forecast_from(self, *, now: datetime | None = None) -> datetime | None:
        """Return when ``growth`` will know enough, if the volume is looked at each hour; None: no look succeeded."""
        now = now or datetime.now(UTC)
        points = [point for point in self._points if point.at >= now - _WINDOW]
        if not points:
            return None
        return max(points[0].at + _MIN_HISTORY, points[-1].at + _INTERVAL * (_MIN_POINTS - len(points)))

    def save(self) -> None:
        """
        Write the history to disk if it changed.

        Raises:
            OSError: the file can't be written.
        """
        if not self._saved:
            replace_file(self._path, _Points(points=self._points).model_dump_json().encode())
            self._saved = True

    def _load(self) -> list[_Point]:
        try:
            with self._path.open("rb") as file:
                return _Points.model_validate_json(file.read(_MAX_FILE_BYTES)).points[-_MAX_POINTS:]
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            log.warning("reading the history of the disk failed", path=str(self._path), error=str(error)[:200])
            return []


def _slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the line with the least squares through points."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
