"""The counters and histograms, updated by the code that they count, and the gauges of single runs."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from mirror_contract import Run, RunKind, RunState
from mirror_syncer.metrics.gauges import PREFIX, Gauges, Snapshot
from mirror_syncer.model.damage import REASONS
from mirror_syncer.model.phases import PHASES
from mirror_syncer.model.tally import Tally

disable_created_metrics()  # type: ignore[no-untyped-call] # no _created series for each counter

ENDED = tuple(state for state in RunState if state.ended)
COMPLETE = (RunState.SUCCEEDED, RunState.INCOMPLETE)
"""Final states of a run that did everything possible."""
_ENDPOINTS = ("list", "page", "file", "metadata", "legacy_json")
# Status classes, some individual statuses, and kinds of failure. A fixed set, so that an upstream with arbitrary status
# codes creates no series.
_CODES = ("2xx", "304", "3xx", "404", "4xx", "5xx", "abandoned", "connection", "timeout")
_RETRIES = ("429", "4xx", "5xx", "connection", "range", "slow", "timeout")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600)


class Metrics:
    """
    Counters, updated by the code they count, and gauges, read from a snapshot.

    Every label set starts at 0, so that the first failure is an increase that triggers alerts.
    """

    def __init__(self, *, version: str, snapshot: Callable[[], Snapshot]) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(f"{PREFIX}_{name}", text, tuple(labels), registry=self.registry)

        def gauge(name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", text, tuple(labels), registry=self.registry)

        gauge("build_info", "Version of the service, as a label; always 1.", ("service", "version")).labels(
            "syncer", version
        ).set(1)
        self._runs = counter("runs", "Ended runs.", ("kind", "outcome"))
        self._run_duration = gauge("run_duration_seconds", "Duration of the last full run in seconds.", ("kind",))
        self._run_phase = gauge(
            "run_phase_seconds",
            "Duration of each phase of the last full run in seconds; 0 if none has ended since the syncer started.",
            ("kind", "phase"),
        )
        self._last_success = gauge(
            "last_success_timestamp_seconds", "Unix time at which the last full run succeeded; 0 if never.", ("kind",)
        )
        self._last_completion = gauge(
            "last_completion_timestamp_seconds",
            "Unix time at which the last full run ended as succeeded or incomplete; 0 if never.",
            ("kind",),
        )
        self._last_attempt = gauge(
            "last_attempt_timestamp_seconds",
            "Unix time at which the last full run ended, whatever its outcome; 0 if never.",
            ("kind",),
        )
        self._plan = gauge("plan_projects", "Projects in the last plan of a full sync.", ("action",))
        self._transfers = counter("transfers", "Attempted downloads of files.", ("kind", "outcome"))
        self._bytes = counter("transferred_bytes", "Bytes of downloaded files.")
        self._times_dropped = counter(
            "upload_times_dropped", "Invalid upload times on upstream's pages; their files are published without one."
        )
        self._verification_failures = counter(
            "verification_failures", "Published files found missing or corrupt.", ("reason",)
        )
        self._requests = counter("upstream_requests", "Requests to upstream.", ("endpoint", "code"))
        self._request_duration = Histogram(
            f"{PREFIX}_upstream_request_duration_seconds",
            "Duration of requests to upstream in seconds, including the body.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._series: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._retries = counter("retries", "Retries of requests to upstream.", ("reason",))
        self._webhooks = counter("webhooks", "Webhook messages about ended runs.", ("outcome",))
        self._gauges = Gauges(snapshot)
        self.registry.register(self._gauges)
        self._begin()

    def observe_request(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Count a request by its status or failure, and its duration after it had a connection."""
        code = _class(outcome, _CODES)
        # Cached, because the library's lookup takes longer than counting.
        if (series := self._series.get((endpoint, code))) is None:
            series = self._requests.labels(endpoint, code), self._request_duration.labels(endpoint)
            self._series[endpoint, code] = series
        requests, duration = series
        requests.inc()
        duration.observe(seconds)

    def count_retry(self, reason: str) -> None:
        """Count a retry."""
        self._retries.labels(_class(reason, _RETRIES)).inc()

    def count_webhook(self, outcome: str) -> None:
        """Count a webhook message by its outcome."""
        self._webhooks.labels(outcome).inc()

    def count_transfers(self, tally: Tally) -> None:
        """Count the downloads of a project."""
        counts = {
            ("file", "fetched"): tally.fetched,
            ("file", "failed"): len(tally.failures),
            ("metadata", "fetched"): tally.metadata_fetched,
            ("metadata", "failed"): tally.metadata_missing,
            ("legacy_json", "fetched"): tally.legacy_fetched,
            ("legacy_json", "failed"): tally.legacy_failed,
        }
        for labels, count in counts.items():
            if count:
                self._transfers.labels(*labels).inc(count)
        self._bytes.inc(tally.fetched_bytes)
        self._times_dropped.inc(tally.times_dropped)

    def count_damage(self, reason: str) -> None:
        """Count a published file or page that was found damaged."""
        self._verification_failures.labels(reason).inc()

    def show_plan(self, numbers: Mapping[str, int]) -> None:
        """
        Set the numbers of projects in the last plan of a full sync, by action.

        Removals are found one by one, so a zero for ``withheld`` is certain only when the run has ended.
        """
        for action, number in numbers.items():
            if number or action != "withheld":
                self._plan.labels(action).set(number)

    def count_run(self, run: Run, *, phases: Mapping[str, float]) -> None:
        """Count an ended run, and set the durations of its phases."""
        kind = run.request.kind
        self._runs.labels(kind, run.state).inc()
        self.show_run(run)
        if run.request.is_whole:
            for phase, seconds in phases.items():
                self._run_phase.labels(kind, phase).set(seconds)

    def show_run(self, run: Run) -> None:
        """
        Set the end, the duration and the withheld removals of a full run, which an earlier process may have run.

        Call it for several runs in order of their age, oldest first.
        """
        kind = run.request.kind
        if run.finished_at is None or run.started_at is None or run.request.projects is not None:
            return
        self._run_duration.labels(kind).set((run.finished_at - run.started_at).total_seconds())
        ended = run.finished_at.timestamp()
        self._last_attempt.labels(kind).set(ended)
        if run.state in COMPLETE:
            self._last_completion.labels(kind).set(ended)
            if kind is RunKind.SYNC:
                self._plan.labels("withheld").set(run.counts.projects_withheld)
        if run.state is RunState.SUCCEEDED:
            self._last_success.labels(kind).set(ended)

    def watch(self, next_run_at: Callable[[], datetime | None]) -> None:
        """Show the time of the next scheduled run."""
        self._gauges.next_run_at = next_run_at

    def exposition(self) -> bytes:
        """Return all families in Prometheus' text format."""
        return generate_latest(self.registry)

    def _begin(self) -> None:
        _all(self._runs, RunKind, ENDED)
        for family in (self._run_duration, self._last_success, self._last_completion, self._last_attempt):
            _all(family, RunKind)
        for kind, phases in PHASES.items():
            _all(self._run_phase, (kind,), phases)
        _all(self._plan, ("refresh", "withdraw", "keep", "withheld"))
        _all(self._transfers, ("file", "metadata", "legacy_json"), ("fetched", "failed"))
        _all(self._verification_failures, REASONS)
        _all(self._requests, _ENDPOINTS, _CODES)
        _all(self._request_duration, _ENDPOINTS)
        _all(self._retries, _RETRIES)
        _all(self._webhooks, ("delivered", "failed", "dropped"))


def _all(family: Counter | Gauge | Histogram, *values: Iterable[str]) -> None:
    """Create a series of a family for each combination of label values."""
    for labels in product(*values):
        family.labels(*labels)


def _class(outcome: str, known: tuple[str, ...]) -> str:
    """Return the label value for a status or a failure: the outcome itself if known, otherwise its status class."""
    if outcome in known:
        return outcome
    # RFC 9110 15: a status outside all classes counts as 5xx
    return class_ if (class_ := f"{outcome[0]}xx") in known else "5xx"
