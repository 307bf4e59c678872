"""One exposition for Prometheus: what the syncer counts, and whether it answers."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

PREFIX = "pypi_mirror_"
_BUILD = f"{PREFIX}build_info"
_UP = f"{PREFIX}syncer_up"


def parse_exposition(content: bytes) -> Sequence[Metric]:
    """
    Return our families of an exposition in Prometheus's text format.

    Raises:
        ValueError: it is none, or has nothing of ours.
    """
    try:
        families = list(text_string_to_metric_families(content.decode()))
    except (ValueError, IndexError) as error:  # the parser runs off the end of some broken lines
        raise ValueError(f"not an exposition: {error}") from error
    # The syncer's process and platform would be taken for control's: the mirror's own families alone.
    ours = [family for family in families if family.name.startswith(PREFIX)]
    if not ours:
        raise ValueError(f"not an exposition of ours: no metric begins with {PREFIX}")
    return ours


class Exposition(Collector):
    """
    The syncer's families and control's own, for one scrape.

    Args:
        families: the syncer's, or the last that it had.
        syncer_up: whether they are fresh. Otherwise gauges are repeated, so that an alert on a timestamp still fires,
            and counters and histograms are absent, so that no rate is made of standing still.
        version: control's.
    """

    def __init__(self, families: Iterable[Metric], *, syncer_up: bool, version: str) -> None:
        self._families = families
        self._syncer_up = syncer_up
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield the families, each once: ``build_info`` has a sample of either service."""
        build = GaugeMetricFamily(_BUILD, "What runs: 1 for each service.", labels=["service", "version"])
        for family in self._families:
            if family.name == _BUILD:
                build.samples += family.samples
            elif family.name != _UP and (self._syncer_up or _stands_still(family)):
                yield family
        build.add_metric(["control", self._version], 1)
        yield build
        yield GaugeMetricFamily(_UP, "Whether the syncer answers.", value=self._syncer_up)


def _stands_still(family: Metric) -> bool:
    # `_created` is a counter's or histogram's birthday, and goes with it.
    return family.type == "gauge" and not family.name.endswith("_created")
