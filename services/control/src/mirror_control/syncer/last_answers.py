"""The last good answers of the syncer, for pages that are read while it is away."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

from mirror_control.client.api_client import ApiError, RefusedError

Value = TypeVar("Value")

# Lists have 256 KiB of JSON at most, and a project a thousand files: some 2 MB of memory each.
_MAX_ANSWERS: Final = 16
_SERVER_ERROR: Final = 500


class Known(NamedTuple, Generic[Value]):
    """An answer, and since when it may be outdated."""

    value: Value
    as_of: datetime
    is_current: bool

    @property
    def outdated_since(self) -> datetime | None:
        """When the syncer gave this answer, if it has not answered since; None: it is current."""
        return None if self.is_current else self.as_of


class LastAnswers:
    """The last good answers by what was asked, the latest sixteen."""

    def __init__(self) -> None:
        self._answers = OrderedDict[str, Known[Any]]()

    async def ask(self, key: str, call: Callable[[], Awaitable[Value]]) -> Known[Value]:
        """
        Return the answer to a call, or the last one while the syncer does not answer.

        Raises:
            ApiError: the call was refused, or it failed and there is no earlier answer.
        """
        try:
            value = await call()
        except ApiError as error:
            is_refused = isinstance(error, RefusedError) and error.problem.status < _SERVER_ERROR
            if is_refused or (known := cast("Known[Value] | None", self._answers.get(key))) is None:
                raise
            return known._replace(is_current=False)
        found = Known(value, datetime.now(UTC), is_current=True)
        self._answers[key] = found
        self._answers.move_to_end(key)
        while len(self._answers) > _MAX_ANSWERS:
            self._answers.popitem(last=False)
        return found
