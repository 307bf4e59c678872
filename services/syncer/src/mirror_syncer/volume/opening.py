"""A view of a tree, wherever it is."""

from pathlib import Path

from mirror_syncer.config.bucket import BucketAccess
from mirror_syncer.volume.bucket import BucketView
from mirror_syncer.volume.bucket.store import ObjectStore
from mirror_syncer.volume.view import View


def open_view(location: Path | BucketAccess, *, scratch: Path) -> View | BucketView:
    """
    Return a read-only view of a tree, which may be missing.

    Args:
        location: its directory, or the bucket.
        scratch: the local directory through which downloads into a bucket pass.
    """
    if isinstance(location, BucketAccess):
        return BucketView(ObjectStore(location), scratch=scratch)
    return View(location)
