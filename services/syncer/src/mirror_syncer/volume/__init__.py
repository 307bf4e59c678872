"""
The tree that nginx serves. Every write to it goes through here.

It lies in a directory or in a bucket of an object store. Both have the same operations, of three kinds: what anybody
may read (``AnyView``), what the work on one project writes (``AnyTree``), and what concerns the whole (``AnyVolume``):

- put a file at its place once it is whole and checked; create-only in a bucket, where a second writer is conceivable
- prepare the forms of a page, then make them visible, after all of its files; the same for a legacy document
- remove a file and leave a tombstone; move it aside and back; write the marker of a held file, and remove it
- ``sync``: what was written so far survives a power cut; a bucket's writes do when they return
- list the projects, the files and markers of a directory, the changes for edges
- prove whose tree it is: lock, marker, generation

What may wait for a network is called by ``call``: in a thread for a bucket, at once for a directory.

Of a directory, read ``tree`` first: the locations of files and pages, and all writes to them. No client sees a partial
write: ``incoming`` publishes a file only when it is complete and checked, ``pages`` renames a page over the old one,
and ``durability`` syncs the disk. ``volume`` is the tree of the process that holds the ``lock``; ``view`` only reads.
``changes`` lists for edges what they must ask for again. Of a bucket, read ``bucket`` first.
"""

from mirror_syncer.model.wheel import MAX_METADATA_BYTES
from mirror_syncer.volume.bucket import Bucket, BucketView
from mirror_syncer.volume.bucket.tree import BucketTree
from mirror_syncer.volume.disk import explain_disk_errors
from mirror_syncer.volume.free_space import MIN_FREE_BYTES
from mirror_syncer.volume.hashing import GZIP
from mirror_syncer.volume.incoming import AnyIncoming, BufferedIncoming, Incoming
from mirror_syncer.volume.large_page import StreamedPages, digest_of
from mirror_syncer.volume.legacy_json import StagedDocument
from mirror_syncer.volume.opening import open_view
from mirror_syncer.volume.pages import PageSet, StagedPages, pages_digest
from mirror_syncer.volume.tree import Tree
from mirror_syncer.volume.view import StoredFile, View
from mirror_syncer.volume.volume import Volume
from mirror_syncer.volume.wheel import wheel_metadata

AnyView = View | BucketView
AnyTree = Tree | BucketTree
AnyVolume = Volume | Bucket

__all__ = [
    "GZIP",
    "MAX_METADATA_BYTES",
    "MIN_FREE_BYTES",
    "AnyIncoming",
    "AnyTree",
    "AnyView",
    "AnyVolume",
    "Bucket",
    "BufferedIncoming",
    "Incoming",
    "PageSet",
    "StagedDocument",
    "StagedPages",
    "StoredFile",
    "StreamedPages",
    "Tree",
    "View",
    "Volume",
    "digest_of",
    "explain_disk_errors",
    "open_view",
    "pages_digest",
    "wheel_metadata",
]
