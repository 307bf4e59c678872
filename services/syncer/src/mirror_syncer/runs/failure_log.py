"""Failures in the log: the first few of each cause by name, the others by number."""

import time
from dataclasses import dataclass

import structlog

from mirror_contract import Failure
from mirror_contract.failure import cause

log = structlog.get_logger()

_NAMED_PER_CAUSE = 5
_MAX_CAUSES = 100  # each failure of a hostile upstream may be worded differently
_OTHER_CAUSES = "other causes"
_SUMMARY_SECONDS = 300.0


@dataclass(slots=True)
class _Cause:
    count: int = 0
    logged: int = 0
    """How many of them the log has, by name or by number."""


class FailureLog:
    """
    Logs the failures of a run.

    When upstream is down, all mirrored projects fail with the same cause, and one line each would fill the log. The
    catalog has each project's error.

    Args:
        fold: count the failures of a cause instead of naming all. False where the log is the only place that has all
            of them, such as the damaged files that a verify finds.
    """

    def __init__(self, *, fold: bool = True) -> None:
        self._fold = fold
        self._causes: dict[str, _Cause] = {}
        self._summarized_at = time.monotonic()

    def record(self, failure: Failure) -> None:
        """Log a failure, unless enough failures of its cause are logged."""
        reason = cause(failure.reason)
        if reason not in self._causes and len(self._causes) >= _MAX_CAUSES:
            reason = _OTHER_CAUSES
        found = self._causes.setdefault(reason, _Cause())
        found.count += 1
        if not self._fold or found.count <= _NAMED_PER_CAUSE:
            found.logged = found.count
            log.warning("failed", **failure.facts())

    def summarize_periodically(self) -> None:
        """Log a summary if the last one is five minutes old."""
        if time.monotonic() - self._summarized_at >= _SUMMARY_SECONDS:
            self.summarize()

    def summarize(self) -> None:
        """Log the number of failures of each cause that has more than the log names."""
        self._summarized_at = time.monotonic()
        for reason, found in self._causes.items():
            if found.count > found.logged:
                found.logged = found.count
                log.warning("more failures with the same cause", reason=reason, count=found.count)
