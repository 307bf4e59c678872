"""The generator of docs/metrics.md from the real metrics of control and syncer."""

import textwrap
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
_OPEN = {"version": "what runs", "url": "such as http://localhost:8080"}
_SUFFIXES = ("_bucket", "_sum", "_count")
_WIDTH = 120
_HEAD = """\
# Metrics

```sh
curl http://localhost:8081/metrics
```

control exports its own metrics and the syncer's in one scrape, at `CONTROL_BIND:CONTROL_PORT`. Each name has the prefix
`pypi_mirror_`. Names are a contract with dashboards and alerts; `CHANGELOG.md` lists every change.

- Every series exists from the start, at 0. No label holds a project's name, nor anything else that upstream or a client
  could make up; the [API](api.md) has such details.
- Points in time are seconds since 1970, so an age is `time() - x`. Sizes are bytes, durations seconds.
- While the syncer is away, `syncer_up` is 0, gauges repeat their last value, and counters and histograms are absent.
- `next_run_timestamp_seconds` is absent while the schedule is off or paused.
- `serial` and `upstream_serial` are absent with scope `selected`, or if the upstream has none.
- An edge has the `edge_*`, `served_*`, `serve_*` and `access_log_*` metrics only, and an origin no `edge_*`.
- `volume_*` is absent while the volume is gone; `volume_free_inodes` also if the file system counts none.

`scripts/generate` writes this page from a scrape of the services. Do not edit it by hand.

## The metrics

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
    def item(self) -> str:
        """Return its lines of the page."""
        return _filled(f"- `{self.name}` ({self.type}): {self.meaning}", indent="  ") + "".join(
            _filled(f"  - `{label}`: {_OPEN.get(label) or ', '.join(values)}", indent="    ")
            for label, values in self.labels.items()
        )


def _filled(text: str, *, indent: str) -> str:
    """Return lines of the page's width, the first as it is and the others indented."""
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


def families(exposed: str) -> list[Family]:
    """Return the metrics of an exposition, by name."""
    found = text_string_to_metric_families(exposed)
    return sorted((_family(metric) for metric in found), key=lambda family: family.name)


def document(exposed: str) -> str:
    """Return docs/metrics.md."""
    return _HEAD + "".join(family.item for family in families(exposed))


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
                exposed = httpx2.get(f"{url}/metrics", trust_env=False).raise_for_status().text
                settings.access_log.mkdir(exist_ok=True)
                (settings.access_log / "edge.json").write_text('{"read":0}')
                at_edge = httpx2.get(f"{url}/metrics", trust_env=False).raise_for_status().text
                edge = "".join(line for line in at_edge.splitlines(keepends=True) if f"{PREFIX}edge_" in line)
                yield exposed + edge
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
