"""Failures in the log: of each cause the first few by name, the others by number."""

import time
from dataclasses import dataclass

import structlog

from mirror_contract import Failure

log = structlog.get_logger()

_NAMED = 5  # of each cause
_CAUSES_MOST = 100  # that are told apart: each failure of a hostile upstream may have words of its own
_OTHERS = "other causes"
_AGAIN_SECONDS = 300.0


@dataclass(slots=True)
class _Cause:
    count: int = 0
    told: int = 0
    """How many of them the log has heard of, by name or by number."""


class FailureLog:
    """
    Tells of a run's failures.

    When upstream is gone all that is mirrored fails alike, which with a line each would be all that the log holds. Each
    project's error is in the catalog.

    Args:
        fold: whether failures of one cause are told by number. Not where the log alone has all of them, as of files
            that a verify finds damaged: there each has its line.
    """

    def __init__(self, *, fold: bool = True) -> None:
        self._fold = fold
        self._causes: dict[str, _Cause] = {}
        self._summed_up_at = time.monotonic()

    def tell(self, failure: Failure) -> None:
        """Log a failure, unless enough of its cause have been."""
        words = cause(failure.reason)
        if words not in self._causes and len(self._causes) >= _CAUSES_MOST:
            words = _OTHERS
        found = self._causes.setdefault(words, _Cause())
        found.count += 1
        if not self._fold or found.count <= _NAMED:
            found.told = found.count
            log.warning("failed", **failure.model_dump(exclude_none=True))

    def sum_up_again(self) -> None:
        """Log how many there are by now, where the last such lines were five minutes ago."""
        if time.monotonic() - self._summed_up_at >= _AGAIN_SECONDS:
            self.sum_up()

    def sum_up(self) -> None:
        """Log how many there are, by cause, where they are more than the log has heard of."""
        self._summed_up_at = time.monotonic()
        for words, found in self._causes.items():
            if found.count > found.told:
                found.told = found.count
                log.warning("failed alike", reason=words, count=found.count)


def cause(reason: str) -> str:
    """Return a reason without what differs among projects: paths, quoted words and numbers, but for a status."""
    words, before = list[str](), ""
    for word in reason.split():
        if "://" in word:
            scheme, _, rest = word.partition("://")
            words.append(f"{scheme}://{rest.partition('/')[0]}/…")
        elif before != "answered" and (word[0] in "'\"" or any(map(str.isdigit, word))):
            words.append("…")
        else:
            words.append(word)
        before = word
    return " ".join(words)
