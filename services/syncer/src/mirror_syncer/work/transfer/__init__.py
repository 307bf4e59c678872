"""
The transfer of one project: from upstream's page to a publication that waits for its group commit.

Read ``project`` first. A ``job`` comes in, an ``outcome`` goes out. In between, ``page`` fetches upstream's page,
``files`` downloads what is missing (``metadata`` with it, each file to a place that ``claims`` grants),
``legacy_json`` writes the legacy document, and ``retirement`` retires what the page no longer names. ``comparison``
only compares.
"""

from mirror_syncer.work.transfer.comparison import Compared, Comparison, UpstreamComparison
from mirror_syncer.work.transfer.files import FileTransfer
from mirror_syncer.work.transfer.job import Withdrawal, Work
from mirror_syncer.work.transfer.legacy_json import LegacyTransfer
from mirror_syncer.work.transfer.outcome import Outcome, after_failure
from mirror_syncer.work.transfer.page import STALE_WAITS, unchanged_page
from mirror_syncer.work.transfer.project import Transfer
from mirror_syncer.work.transfer.unhashed import UnhashedFiles

__all__ = [
    "STALE_WAITS",
    "Compared",
    "Comparison",
    "FileTransfer",
    "LegacyTransfer",
    "Outcome",
    "Transfer",
    "UnhashedFiles",
    "UpstreamComparison",
    "Withdrawal",
    "Work",
    "after_failure",
    "unchanged_page",
]
