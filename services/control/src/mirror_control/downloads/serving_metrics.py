"""Metrics of the requests that nginx served, by route."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from mirror_control.downloads.line import Request

# nginx/http/access_log.conf maps every request to one of these.
ROUTES = ("page", "package", "json", "control", "other")
# These statuses have a label of their own; all others share one per class. Nine values keep a chart legible.
_SINGLE_STATUSES = frozenset({"200", "206", "304", "404", "502"})
STATUSES = (*sorted(_SINGLE_STATUSES), "2xx", "3xx", "4xx", "5xx")
# nginx measures milliseconds; a page takes less than one, a large file on a slow connection a minute.
_BUCKET_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)


class ServingMetrics(Collector):
    """Counts since control's start; every label set exists from the start, with 0."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.buckets: Counter[tuple[str, int]] = Counter()
        self.cached: Counter[tuple[str, str]] = Counter()
        self.unreadable = 0

    def add(self, request: Request) -> None:
        """Count a request."""
        route = request.route if request.route in ROUTES else "other"
        self.requests[route, _status(request.status)] += 1
        self.bytes[route] += request.size
        self.seconds[route] += request.seconds  # type: ignore[assignment] # typeshed has counters of int alone
        self.cached[route, request.cache] += 1
        self.buckets[route, bisect_left(_BUCKET_SECONDS, request.seconds)] += 1

    def merge(self, other: "ServingMetrics") -> None:
        """Add the counts of another one."""
        for own, others in (
            (self.requests, other.requests),
            (self.bytes, other.bytes),
            (self.seconds, other.seconds),
            (self.buckets, other.buckets),
            (self.cached, other.cached),
        ):
            own.update(others)  # type: ignore[arg-type] # the keys of each pair match, which mypy can't see in a loop
        self.unreadable += other.unreadable

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        requests = CounterMetricFamily(
            "pypi_mirror_served_requests",
            "Requests that nginx answered, by route; 2xx to 5xx count all statuses without a label of their own.",
            labels=["route", "status"],
        )
        sizes = CounterMetricFamily(
            "pypi_mirror_served_bytes", "Bytes of response bodies that nginx sent, by route.", labels=["route"]
        )
        durations = HistogramMetricFamily(
            "pypi_mirror_serve_duration_seconds",
            "Time from a request's first byte to its answer's last, by route; includes the client's network.",
            labels=["route"],
        )
        for route in ROUTES:
            for status in STATUSES:
                requests.add_metric([route, status], self.requests[route, status])
            sizes.add_metric([route], self.bytes[route])
            buckets, total = [], 0
            for place, bound in enumerate((*map(str, _BUCKET_SECONDS), "+Inf")):
                total += self.buckets[route, place]
                buckets.append((bound, total))
            durations.add_metric([route], buckets, self.seconds[route])
        unreadable = CounterMetricFamily(
            "pypi_mirror_access_log_unreadable_lines",
            "Lines of the access log that are truncated, such as by a full volume, or not nginx's.",
            value=self.unreadable,
        )
        yield from (requests, sizes, durations, unreadable)


def _status(code: str) -> str:
    if code in _SINGLE_STATUSES:
        return code
    # 000: the client disconnected before an answer, like nginx's 499.
    return f"{code[0]}xx" if code[:1] in ("2", "3", "5") else "4xx"
