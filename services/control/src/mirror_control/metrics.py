"""The exposition for Prometheus: the syncer's metrics, and whether the syncer answers."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

PREFIX = "pypi_mirror_"
_BUILD = f"{PREFIX}build_info"
_UP = f"{PREFIX}syncer_up"


def parse_exposition(content: bytes) -> Sequence[Metric]:
    """
    Return the mirror's own families of an exposition in Prometheus's text format.

    Raises:
        ValueError: it is not an exposition, or has none of the mirror's families.
    """
    try:
        families = list(text_string_to_metric_families(content.decode()))
    except (ValueError, IndexError) as error:  # the parser raises IndexError for some truncated lines
        raise ValueError(f"not an exposition: {error}") from error
    # Only the mirror's families: the syncer's process and platform metrics would look like control's.
    own = [family for family in families if family.name.startswith(PREFIX)]
    if not own:
        raise ValueError(f"not an exposition of the mirror: no metric begins with {PREFIX}")
    return own


class Exposition(Collector):
    """
    The syncer's families and control's own, for one scrape.

    Args:
        families: the syncer's current families, or its last known ones.
        syncer_up: whether the families are current. If not, gauges repeat the last value, so that an alert on a
            timestamp still fires; counters and histograms are absent, so that Prometheus computes no rate of zero.
        version: control's version.
    """

    def __init__(self, families: Iterable[Metric], *, syncer_up: bool, version: str) -> None:
        self._families = families
        self._syncer_up = syncer_up
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield each family once; ``build_info`` has a sample for each of the two services."""
        build = GaugeMetricFamily(
            _BUILD, "Version of each service; the value is always 1.", labels=["service", "version"]
        )
        for family in self._families:
            if family.name == _BUILD:
                build.samples += family.samples
            elif family.name != _UP and (self._syncer_up or _may_repeat(family)):
                yield family
        build.add_metric(["control", self._version], 1)
        yield build
        yield GaugeMetricFamily(_UP, "1 if the syncer answers control, 0 otherwise.", value=self._syncer_up)


class PageMetrics(Collector):
    """
    Where the page is, for links in alerts and dashboards, and when the certificate ends that nginx serves.

    Args:
        url: the address of the mirror.
        certificate_end: None without HTTPS.
    """

    def __init__(self, url: str, *, certificate_end: datetime | None) -> None:
        self._url = url
        self._end = certificate_end

    def collect(self) -> Iterator[Metric]:
        """Yield both families."""
        page = GaugeMetricFamily(
            f"{PREFIX}page_info", "The mirror's address for people, MIRROR_PAGE_URL; always 1.", labels=["url"]
        )
        page.add_metric([self._url], 1)
        yield page
        yield GaugeMetricFamily(
            f"{PREFIX}certificate_end_timestamp_seconds",
            "Unix time at which the certificate ends that nginx serves; 0 without HTTPS.",
            value=self._end.timestamp() if self._end else 0,
        )


def _may_repeat(family: Metric) -> bool:
    # `_created` belongs to a counter or histogram.
    return family.type == "gauge" and not family.name.endswith("_created")
