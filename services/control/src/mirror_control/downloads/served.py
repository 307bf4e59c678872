"""What nginx served, by route, as Prometheus asks for it."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from mirror_control.downloads.line import Request

# nginx/http/access_log.conf maps every request to one of these.
ROUTES = ("page", "package", "json", "control", "other")
# What serving is judged by, each by itself, and the rest of each class: nine values, so that a chart stays legible.
_ITSELF = frozenset({"200", "206", "304", "404", "502"})
STATUSES = (*sorted(_ITSELF), "2xx", "3xx", "4xx", "5xx")
# nginx measures in milliseconds; a page takes less than one, a large file over a slow line a minute.
_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)


class Served(Collector):
    """Counts since control's start, every label set from 0."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.bytes: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.buckets: Counter[tuple[str, int]] = Counter()
        self.unreadable = 0

    def add(self, request: Request) -> None:
        """Count a request."""
        route = request.route if request.route in ROUTES else "other"
        self.requests[route, _status(request.status)] += 1
        self.bytes[route] += request.size
        self.seconds[route] += request.seconds  # type: ignore[assignment] # typeshed has counters of int alone
        self.buckets[route, bisect_left(_BOUNDS, request.seconds)] += 1

    def merge(self, other: "Served") -> None:
        """Add what another counted."""
        for mine, its in (
            (self.requests, other.requests),
            (self.bytes, other.bytes),
            (self.seconds, other.seconds),
            (self.buckets, other.buckets),
        ):
            mine.update(its)  # type: ignore[arg-type] # of the same keys, which a loop does not know
        self.unreadable += other.unreadable

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        requests = CounterMetricFamily(
            "pypi_mirror_served_requests",
            "Requests that nginx answered, by route; 2xx to 5xx are what has no status of its own here.",
            labels=["route", "status"],
        )
        sizes = CounterMetricFamily(
            "pypi_mirror_served_bytes", "Bytes of bodies that nginx sent, by route.", labels=["route"]
        )
        durations = HistogramMetricFamily(
            "pypi_mirror_serve_duration_seconds",
            "From a request's first byte to its answer's last, by route, the client's line included.",
            labels=["route"],
        )
        for route in ROUTES:
            for status in STATUSES:
                requests.add_metric([route, status], self.requests[route, status])
            sizes.add_metric([route], self.bytes[route])
            buckets, total = [], 0
            for place, bound in enumerate((*map(str, _BOUNDS), "+Inf")):
                total += self.buckets[route, place]
                buckets.append((bound, total))
            durations.add_metric([route], buckets, self.seconds[route])
        unreadable = CounterMetricFamily(
            "pypi_mirror_access_log_unreadable_lines",
            "Lines of the access log that were torn, as by a full volume, or are none of nginx's.",
            value=self.unreadable,
        )
        yield from (requests, sizes, durations, unreadable)


def _status(code: str) -> str:
    if code in _ITSELF:
        return code
    # 000 is a client that went away before there was an answer, like nginx's 499.
    return f"{code[0]}xx" if code[:1] in ("2", "3", "5") else "4xx"
