"""
The transfer of one project: from upstream's page to a publication that waits for its group commit.

Read ``project`` first. A ``job`` comes in, an ``outcome`` goes out. In between, ``evidence`` decides about the files
of upstream's page, which ``page`` fetches; ``files`` downloads what is missing (``metadata`` with it, each file to a
place that ``claims`` grants); ``legacy_json`` writes the legacy document; and ``retirement`` retires files that leave
the page. ``comparison`` only compares, and ``stored_pages`` reads what is stored for a judgement without upstream.
"""

from mirror_syncer.work.transfer.comparison import Compared, Comparison, UpstreamComparison
from mirror_syncer.work.transfer.evidence import EvidenceReader, Judged
from mirror_syncer.work.transfer.files import FileTransfer
from mirror_syncer.work.transfer.holding import refusal
from mirror_syncer.work.transfer.job import Withdrawal, Work
from mirror_syncer.work.transfer.legacy_json import LegacyTransfer
from mirror_syncer.work.transfer.outcome import Outcome, absence, after_failure
from mirror_syncer.work.transfer.page import STALE_WAITS, last_page
from mirror_syncer.work.transfer.project import Transfer
from mirror_syncer.work.transfer.stored_pages import StoredPages
from mirror_syncer.work.transfer.unhashed import UnhashedFiles

__all__ = [
    "STALE_WAITS",
    "Compared",
    "Comparison",
    "EvidenceReader",
    "FileTransfer",
    "Judged",
    "LegacyTransfer",
    "Outcome",
    "StoredPages",
    "Transfer",
    "UnhashedFiles",
    "UpstreamComparison",
    "Withdrawal",
    "Work",
    "absence",
    "after_failure",
    "last_page",
    "refusal",
]
