"""The syncer's metric families. Control scrapes them over the private API and includes them in its own."""

from mirror_syncer.metrics.gauges import Snapshot
from mirror_syncer.metrics.metrics import COMPLETE, ENDED, Metrics

__all__ = ["COMPLETE", "ENDED", "Metrics", "Snapshot"]
