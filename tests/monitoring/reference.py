"""docs/metrics.md: every metric that Prometheus finds at control, from what control and syncer really show."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from control import live
from control.fake_syncer import FakeSyncer
from mirror_contract import Disk
from mirror_control.settings import Settings
from mirror_syncer.metrics import Metrics, Snapshot

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
PREFIX = "pypi_mirror_"

# Its value is whatever runs; of all other labels every value is known from the start.
_OPEN = {"version"}
_SUFFIXES = ("_bucket", "_sum", "_count")
_HEAD = """\
# Metrics

Prometheus finds these at `/metrics` of `CONTROL_BIND:CONTROL_PORT`, control's and the syncer's in one scrape. Each has
the prefix `pypi_mirror_`. They are a contract with dashboards and alerts, and change only as `CHANGELOG.md` tells.

- Every series that a label's values allow is there from the start, at 0. No label holds a project's name, nor anything
  else that upstream or a client could make up: what concerns one project is in the API.
- Points in time are seconds since 1970, so an age is `time() - x`. Sizes are bytes, durations seconds.
- While the syncer is away `syncer_up` is 0, its gauges repeat what it said last, counters and histograms are absent.
- `next_run_timestamp_seconds` is absent while the schedule is off or paused, `serial` and `upstream_serial` with scope
  `selected` or an upstream that has none, `volume_*` while the volume is gone, its inodes where none are counted.

`scripts/generate` writes this page from what the services show; a test holds it to that.

| metric | type | labels | meaning |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Family:
    """A metric as it is documented."""

    name: str
    """As queries name it, without the prefix: a counter's ends in ``_total``."""
    type: str
    meaning: str
    labels: dict[str, tuple[str, ...]]
    """The values of each, in the order in which they are shown."""

    @property
    def row(self) -> str:
        """Return its line of the table."""
        labels = "; ".join(
            f"`{label}`: {'what runs' if label in _OPEN else ', '.join(values)}"
            for label, values in self.labels.items()
        )
        return f"| `{self.name}` | {self.type} | {labels} | {self.meaning} |\n"


def families(exposed: str) -> list[Family]:
    """Return the metrics of an exposition, by name."""
    found = text_string_to_metric_families(exposed)
    return sorted((_family(metric) for metric in found), key=lambda family: family.name)


def document(exposed: str) -> str:
    """Return docs/metrics.md."""
    return _HEAD + "".join(family.row for family in families(exposed))


@contextmanager
def scraped() -> Iterator[str]:
    """Yield what Prometheus finds at a real control, before it a syncer's metrics from their first second."""
    disk = Disk(size_bytes=1, free_bytes=1, free_inodes=1)
    metrics = Metrics(version="0.1.0", snapshot=lambda: Snapshot(serial=1, upstream_serial=1, disk=disk))
    metrics.watch(lambda: datetime(2026, 11, 22, tzinfo=UTC))
    background, syncer = live.Background(), FakeSyncer(registry=metrics.registry)
    try:
        background.run(syncer.start())
        with TemporaryDirectory() as directory:
            settings = Settings(
                control_state=Path(directory), access_log=Path(directory) / "logs", syncer_url=syncer.url
            )
            with live.control(settings, background=background) as url:
                yield httpx2.get(f"{url}/metrics", trust_env=False).raise_for_status().text
    finally:
        background.run(syncer.stop())
        background.close()


def _family(metric: Metric) -> Family:
    suffix = "_total" if metric.type == "counter" else ""
    labels: dict[str, dict[str, None]] = {}
    for sample in metric.samples:
        for label, value in sample.labels.items():
            if label != "le":
                labels.setdefault(label, {})[value] = None
    return Family(
        metric.name.removeprefix(PREFIX) + suffix,
        metric.type,
        metric.documentation,
        {label: tuple(values) for label, values in sorted(labels.items())},
    )


def series_names(known: Sequence[Family]) -> set[str]:
    """Return the names that a query may use, a histogram's three included."""
    return {
        PREFIX + family.name + suffix
        for family in known
        for suffix in (_SUFFIXES if family.type == "histogram" else ("",))
    }


if __name__ == "__main__":
    with scraped() as exposed:
        DOCUMENT.write_text(document(exposed))
