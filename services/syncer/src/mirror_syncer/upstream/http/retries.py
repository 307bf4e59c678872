"""Further attempts at what upstream could not answer just now, after a wait that it may name itself."""

import email.utils
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from mirror_syncer.errors import UnreachableError, UpstreamError
from mirror_syncer.upstream.http.limits import Limits

T = TypeVar("T")
_MAX_IMMEDIATE_RETRIES = (
    2  # attempts without a wait: another machine has not been asked yet, but all of them may be in trouble
)


class RetryLaterError(UpstreamError):
    """
    Worth another attempt.

    Attributes:
        reason: a metric's label, one of few.
        wait: upstream's wish in seconds.
        elsewhere: the next attempt goes to another machine, which needs no rest.
        fresh: the next attempt has to open a connection of its own to get away from what failed.
    """

    def __init__(
        self, message: str, *, reason: str, wait: float | None = None, other_address: bool = False, fresh: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.wait = wait
        self.other_address = other_address
        self.fresh = fresh


Attempt = Callable[["RetryLaterError | None"], Awaitable[T]]
"""Makes an attempt; it is told why the one before it failed."""


class Retries:
    """
    Makes attempts until one of them is not to be tried later.

    Args:
        on_retry: told the reason of each further attempt, when it begins.
    """

    def __init__(self, limits: Limits, *, on_retry: Callable[[str], None]) -> None:
        self._limits = limits
        self._on_retry = on_retry

    async def over(self, attempt: Attempt[T]) -> T:
        """
        Return an attempt's result, retrying after ``RetryLaterError``; other errors pass. Cancelled, it stops waiting.

        Raises:
            UnreachableError: all attempts were to be tried later, or one of them much later.
        """
        try:
            return await attempt(None)  # the rule; what retries need costs 0.1 ms, and is set up when one is needed
        except RetryLaterError as error:
            failed = error
        at_once = _MAX_IMMEDIATE_RETRIES

        def wait(error: Exception) -> bool | float:
            nonlocal at_once
            if isinstance(error, RetryLaterError) and error.other_address and at_once:
                at_once -= 1
                return 0.0
            return self._wait(error)

        try:
            async for trial in stamina.retry_context(
                on=wait,
                attempts=self._limits.attempts,
                timeout=None,
                wait_initial=self._limits.initial_wait_seconds,
                wait_max=self._limits.max_wait_seconds,
                wait_jitter=self._limits.initial_wait_seconds,
            ):
                with trial:
                    if trial.num == 1:
                        raise failed  # made above
                    self._on_retry(failed.reason)
                    try:
                        return await attempt(failed)
                    except RetryLaterError as error:
                        failed = error
                        raise
        except RetryLaterError as error:
            raise UnreachableError(str(error)) from error
        raise AssertionError("a retry context that neither returned nor raised")

    def _wait(self, error: Exception) -> bool | float:
        """Return for how many seconds upstream wants to rest; True: our own time will do; False: it is no use."""
        if not isinstance(error, RetryLaterError):
            return False
        if error.wait is None:
            return True
        return error.wait if error.wait <= self._limits.max_retry_after_seconds else False


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, in either of its forms (RFC 9110 10.2.3); None: it says nothing."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
