"""The syncer's metric families. Control scrapes them over the private API and shows them as its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mirror_contract import Disk, ProjectState, RunKind, RunState
from mirror_syncer.planning import Priority

disable_created_metrics()  # type: ignore[no-untyped-call] # a _created series beside each counter helps nobody here

PREFIX = "pypi_mirror"
_ENDPOINTS = ("page", "file", "metadata")
_ENDS = tuple(state for state in RunState if state.ended)
_RETRIES = ("429", "500", "502", "503", "504", "connection", "timeout", "slow", "range")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the gauges show, taken when they are asked for."""

    projects: dict[ProjectState, int] = field(default_factory=dict)
    files: int = 0
    stored_bytes: int = 0
    queue: dict[int, int] = field(default_factory=dict)
    running: frozenset[RunKind] = frozenset()
    disk: Disk | None = None


class Metrics:
    """
    Counters, told by those who do the work, and gauges, read off a snapshot.

    Every label set begins at 0, so that the first failure is an increase that an alert can see.
    """

    def __init__(self, *, version: str, snapshot: Callable[[], Snapshot]) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, tuple(labels), registry=self.registry)

        def gauge(name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", text, tuple(labels), registry=self.registry)

        gauge("build_info", "Which version runs; always 1.", ("service", "version")).labels("syncer", version).set(1)
        self.runs = counter("runs", "Runs that ended.", ("kind", "outcome"))
        self.run_duration = gauge("run_duration_seconds", "How long the last run took.", ("kind",))
        self.last_success = gauge(
            "last_success_timestamp_seconds", "When a whole run last succeeded; 0: never.", ("kind",)
        )
        self.last_attempt = gauge(
            "last_attempt_timestamp_seconds", "When a whole run last ended, however; 0: never.", ("kind",)
        )
        self.plan = gauge("plan_projects", "Projects in the last plan of a whole sync.", ("action",))
        self.transfers = counter("transfers", "Files that were to be fetched.", ("kind", "outcome"))
        self.bytes = counter("transferred_bytes", "Bytes of files fetched.")
        self.verification_failures = counter("verification_failures", "Published files found damaged.", ("reason",))
        self.requests = counter("upstream_requests", "Requests to the upstream.", ("endpoint", "code"))
        self.request_duration = Histogram(
            f"{PREFIX}_upstream_request_duration_seconds",
            "How long a request to the upstream took, body and all.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.retries = counter("retries", "Further attempts at a request.", ("reason",))
        self._gauges = _Gauges(snapshot)
        self.registry.register(self._gauges)
        self._begin()

    def observe_request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Count a request; statuses as classes' members are few, anything else is a fault's name."""
        self.requests.labels(endpoint, outcome).inc()
        self.request_duration.labels(endpoint).observe(seconds)

    def count_retry(self, reason: str) -> None:
        """Count a further attempt."""
        self.retries.labels(reason).inc()

    def watch(self, next_run_at: Callable[[], datetime | None]) -> None:
        """Show when the next run comes by itself."""
        self._gauges.next_run_at = next_run_at

    def exposition(self) -> bytes:
        """Return the families in Prometheus' text format."""
        return generate_latest(self.registry)

    def _begin(self) -> None:
        for kind in RunKind:
            for ended in _ENDS:
                self.runs.labels(kind, ended)
            for family in (self.run_duration, self.last_success, self.last_attempt):
                family.labels(kind)
        for action in ("refresh", "withdraw", "keep", "withheld"):
            self.plan.labels(action)
        for transferred in ("file", "metadata"):
            for outcome in ("fetched", "failed"):
                self.transfers.labels(transferred, outcome)
        for damage in ("missing", "wrong"):
            self.verification_failures.labels(damage)
        for endpoint in _ENDPOINTS:
            self.requests.labels(endpoint, "200")
            self.request_duration.labels(endpoint)
        for reason in _RETRIES:
            self.retries.labels(reason)


class _Gauges(Collector):
    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self.next_run_at: Callable[[], datetime | None] = lambda: None

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Say nothing at registration: there is no snapshot yet."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges as they are now."""
        now = self._snapshot()
        projects = GaugeMetricFamily(f"{PREFIX}_projects", "Projects by state.", labels=("state",))
        for state in ProjectState:
            projects.add_metric((state,), now.projects.get(state, 0))
        yield projects
        yield GaugeMetricFamily(f"{PREFIX}_files", "Published files.", now.files)
        yield GaugeMetricFamily(f"{PREFIX}_stored_bytes", "Bytes of published files.", now.stored_bytes)
        queue = GaugeMetricFamily(f"{PREFIX}_queue_projects", "Projects that wait, by priority.", labels=("priority",))
        for priority in Priority:
            queue.add_metric((priority.name.lower(),), now.queue.get(priority, 0))
        yield queue
        running = GaugeMetricFamily(f"{PREFIX}_run_in_progress", "Whether a run is under way.", labels=("kind",))
        for kind in RunKind:
            running.add_metric((kind,), kind in now.running)
        yield running
        if (next_run := self.next_run_at()) is not None:
            yield GaugeMetricFamily(
                f"{PREFIX}_next_run_timestamp_seconds", "When the next run comes by itself.", next_run.timestamp()
            )
        if now.disk is not None:
            yield GaugeMetricFamily(f"{PREFIX}_volume_size_bytes", "Size of the volume.", now.disk.size_bytes)
            yield GaugeMetricFamily(f"{PREFIX}_volume_free_bytes", "Free for the mirror.", now.disk.free_bytes)
            if now.disk.free_inodes is not None:
                yield GaugeMetricFamily(f"{PREFIX}_volume_free_inodes", "Inodes free.", now.disk.free_inodes)
