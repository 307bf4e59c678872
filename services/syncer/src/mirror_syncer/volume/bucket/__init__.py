"""
The tree in a bucket of an S3-compatible object store, with the keys that a directory would have as paths.

Read ``store`` first: requests for single objects. ``view`` reads the tree, ``tree`` writes what belongs to one project,
``bucket`` is the tree of the one process that may write. ``incoming`` has the downloads: they grow and are checked on
the local disk, and are uploaded whole. A write has happened when its call returns, so ``sync`` has nothing to wait for;
the order of publication is that of a directory.
"""

from mirror_syncer.volume.bucket.bucket import Bucket
from mirror_syncer.volume.bucket.view import BucketView

__all__ = ["Bucket", "BucketView"]
