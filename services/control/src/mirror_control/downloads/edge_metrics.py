"""Metrics of an edge: what it answered from its cache, and when it last read its origin's list of changes."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

# Beside the access log; nginx/edge.js writes it.
_FILENAME = "edge.json"
_MAX_BYTES = 4_096
_ROUTES = ("page", "package", "json")
# nginx's $upstream_cache_status; "none" is what never comes from the cache, such as redirects and refused requests.
_STATES = ("hit", "miss", "expired", "revalidated", "stale", "updating", "bypass", "none")

CacheCounts = Counter[tuple[str, str]]
"""Requests by route and cache state, as nginx logs it."""


class EdgeState(msgspec.Struct, frozen=True):
    """What nginx reports as an edge."""

    read: int
    """When it last read the list; 0 if never."""

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Read the report beside the access log; return None on an origin, which has none."""
        try:
            with (directory / _FILENAME).open("rb") as file:
                body = file.read(_MAX_BYTES)
        except OSError:
            return None
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return cls(read=0)  # it is an edge all the same


class EdgeMetrics(Collector):
    """The families of an edge, which has no syncer."""

    def __init__(self, counts: CacheCounts, state: EdgeState) -> None:
        self._counts = counts
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        answers = CounterMetricFamily(
            "pypi_mirror_edge_answers",
            "Only on an edge: requests by route and by state of the cache, as in nginx's $upstream_cache_status.",
            labels=["route", "cache"],
        )
        for route in _ROUTES:
            for state in _STATES:
                cached = self._counts[route, state.upper() if state != "none" else ""]
                answers.add_metric([route, state], cached)
        yield answers
        yield GaugeMetricFamily(
            "pypi_mirror_edge_list_timestamp_seconds",
            "Only on an edge: when it last read its origin's list of changes; 0 if never since its start.",
            value=self._state.read,
        )
