"""The server's request log, for assertions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and its status."""

    method: str
    path: str  # as sent: quoted, without the query
    query: str
    headers: dict[str, str]  # the request's, by lower-case name
    status: int


class RequestLog:
    """All exchanges, in the order in which their answers began."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.peak = 0  # the most concurrent requests
        self._under_way = 0

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.exchanges)

    def __len__(self) -> int:
        return len(self.exchanges)

    def to(self, path: str) -> list[Exchange]:
        """Return the exchanges whose path ends with this: ``log.to("foo-1.0.tar.gz")``, ``log.to("/simple/foo/")``."""
        return [exchange for exchange in self.exchanges if exchange.path.endswith(path)]

    def paths(self) -> list[str]:
        """Return the requested paths."""
        return [exchange.path for exchange in self.exchanges]

    def statuses(self) -> list[int]:
        """Return the statuses."""
        return [exchange.status for exchange in self.exchanges]

    def forget(self) -> None:
        """Clear the log, so that a test sees only its second sync."""
        self.exchanges.clear()
        self.peak = self._under_way

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request while it is served."""
        self._under_way += 1
        self.peak = max(self.peak, self._under_way)
        try:
            yield
        finally:
            self._under_way -= 1
