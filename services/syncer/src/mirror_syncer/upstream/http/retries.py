"""Retries after transient failures, with a backoff or the wait that upstream's Retry-After names."""

import email.utils
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from mirror_syncer.errors import UnreachableError, UpstreamError
from mirror_syncer.upstream.http.limits import Limits

T = TypeVar("T")
_MAX_IMMEDIATE_RETRIES = 2  # of another machine; more would load a service whose machines all fail


class RetryLaterError(UpstreamError):
    """
    A transient failure, worth another attempt.

    Attributes:
        reason: a label of a metric, one of few.
        wait: seconds of upstream's Retry-After.
        other_address: the next attempt goes to another machine, without a wait.
        fresh: the next attempt must open a new connection, to avoid the machine that failed.
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
"""One attempt; its argument is the error of the previous one."""


class Retries:
    """
    A retry loop for transient failures.

    Args:
        on_retry: called with the reason at the start of each retry.
    """

    def __init__(self, limits: Limits, *, on_retry: Callable[[str], None]) -> None:
        self._limits = limits
        self._on_retry = on_retry

    async def run(self, attempt: Attempt[T]) -> T:
        """
        Return an attempt's result, retrying after ``RetryLaterError``; other errors pass. Cancellation ends the wait.

        Raises:
            UnreachableError: all attempts failed, or upstream asks for a wait over the limit.
        """
        try:
            return await attempt(
                None
            )  # the usual case: the retry context costs 0.1 ms, so it is created only on failure
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
        """Return the seconds that upstream asks to wait; True for the default backoff; False to give up."""
        if not isinstance(error, RetryLaterError):
            return False
        if error.wait is None:
            return True
        return error.wait if error.wait <= self._limits.max_retry_after_seconds else False


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header in either form (RFC 9110 10.2.3); None if absent or invalid."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
