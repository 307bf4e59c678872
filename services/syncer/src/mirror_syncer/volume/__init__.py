"""
The tree that nginx serves. Every write to it goes through here.

Read ``tree`` first: the locations of files and pages, and all writes to them. No client sees a partial write:
``incoming`` publishes a file only when it is complete and checked, ``pages`` renames a page over the old one, and
``durability`` syncs the disk. ``volume`` is the tree of the process that holds the ``lock``; ``view`` only reads.
``changes`` lists for edges what they must ask for again.
"""

from mirror_syncer.model.wheel import MAX_METADATA_BYTES
from mirror_syncer.volume.disk import explain_disk_errors
from mirror_syncer.volume.free_space import MIN_FREE_BYTES
from mirror_syncer.volume.hashing import GZIP
from mirror_syncer.volume.incoming import AnyIncoming, BufferedIncoming, Incoming
from mirror_syncer.volume.large_page import StreamedPages, digest_of
from mirror_syncer.volume.legacy_json import StagedDocument
from mirror_syncer.volume.pages import PageSet, StagedPages, pages_digest
from mirror_syncer.volume.tree import Tree
from mirror_syncer.volume.view import View
from mirror_syncer.volume.volume import Volume
from mirror_syncer.volume.wheel import wheel_metadata

__all__ = [
    "GZIP",
    "MAX_METADATA_BYTES",
    "MIN_FREE_BYTES",
    "AnyIncoming",
    "BufferedIncoming",
    "Incoming",
    "PageSet",
    "StagedDocument",
    "StagedPages",
    "StreamedPages",
    "Tree",
    "View",
    "Volume",
    "digest_of",
    "explain_disk_errors",
    "pages_digest",
    "wheel_metadata",
]
