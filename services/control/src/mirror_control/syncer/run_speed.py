"""How fast running runs are, from what they were when control last looked."""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from mirror_contract import Run

_WINDOW_SECONDS: Final = 1800.0
# Of a shorter time, a page of a large project or a single large file would be the whole speed.
_MIN_SECONDS: Final = 10.0
_MIN_SECONDS_FOR_REST: Final = 30.0
# Below 2 %, the rest would be a guess.
_MIN_DONE: Final = 0.02
# One every 15 s at least, and with an open page one every 5 s.
_INTERVAL_SECONDS: Final = 5.0


class RunSpeed(NamedTuple):
    """The speed of a run during the last half hour at most."""

    bytes_per_second: float
    seconds_left: float | None
    """None: it cannot be told honestly."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    size: int
    done: int
    planned: int


class RunSpeeds:
    """
    Samples of running runs.

    Neither a run's start nor its counts tell its speed: after a restart of the syncer, a run has its old start and
    counts its projects anew.
    """

    def __init__(self) -> None:
        self._samples: dict[str, deque[_Sample]] = {}

    def record(self, running: list[Run], *, now: float) -> None:
        """
        Record what runs have done, and forget all others.

        Args:
            now: by a monotonic clock.
        """
        self._samples = {run.id: self._samples.get(run.id, deque()) for run in running}
        for run in running:
            counts, samples = run.counts, self._samples[run.id]
            new = _Sample(
                now, counts.bytes_fetched + counts.bytes_verified, counts.projects_done, counts.projects_planned
            )
            if samples and (new.done < samples[-1].done or new.size < samples[-1].size):
                samples.clear()  # it counts anew
            if not samples or now - samples[-1].at >= _INTERVAL_SECONDS:
                samples.append(new)
            while now - samples[0].at > _WINDOW_SECONDS:
                samples.popleft()

    def speed_of(self, run_id: str) -> RunSpeed | None:
        """Return the speed of a run; None if it was not seen for long enough."""
        samples = self._samples.get(run_id)
        if not samples or (seconds := samples[-1].at - samples[0].at) < _MIN_SECONDS:
            return None
        first, last = samples[0], samples[-1]
        return RunSpeed((last.size - first.size) / seconds, _seconds_left(first, last))


def _seconds_left(first: _Sample, last: _Sample) -> float | None:
    seconds, done = last.at - first.at, last.done - first.done
    is_known = last.planned == first.planned and last.done >= _MIN_DONE * last.planned
    if seconds < _MIN_SECONDS_FOR_REST or not done or not is_known:
        return None
    return seconds / done * max(last.planned - last.done, 0)
