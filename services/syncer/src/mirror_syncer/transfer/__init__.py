"""
The work unit: one project, from upstream's page to a publication that only waits for its group's commit.

It needs a name, the policy and a place to write, and nothing of its neighbours.

A ``job`` comes in; a ``project``'s turn brings its ``page``, its ``files`` (each with its ``metadata``, to a place that
``claims`` it) and its ``legacy`` document, and lets go of what retires (``retirement``); an ``outcome`` goes out.
"""

from mirror_syncer.transfer.comparison import Compared, Comparison, UpstreamComparison
from mirror_syncer.transfer.files import FileTransfer
from mirror_syncer.transfer.job import Withdrawal, Work
from mirror_syncer.transfer.legacy import LegacyTransfer
from mirror_syncer.transfer.outcome import Outcome, after_failure
from mirror_syncer.transfer.page import STALE_WAITS, unchanged_page
from mirror_syncer.transfer.project import Transfer
from mirror_syncer.transfer.tally import Tally
from mirror_syncer.transfer.unhashed import UnhashedFiles

__all__ = [
    "STALE_WAITS",
    "Compared",
    "Comparison",
    "FileTransfer",
    "LegacyTransfer",
    "Outcome",
    "Tally",
    "Transfer",
    "UnhashedFiles",
    "UpstreamComparison",
    "Withdrawal",
    "Work",
    "after_failure",
    "unchanged_page",
]
