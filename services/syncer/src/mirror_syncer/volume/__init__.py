"""
The tree that nginx serves. Every write to it goes through here: names, temporaries, durability, the lock.

Nothing is visible half-written: a file has no name until it is whole and checked, a page is renamed over the old one.
"""

from mirror_syncer.volume.disk import disk_says, state_disk_says
from mirror_syncer.volume.document import StagedDocument
from mirror_syncer.volume.generation import Generation
from mirror_syncer.volume.incoming import Arrival, Gathered, Incoming
from mirror_syncer.volume.pages import PageSet, StagedPages
from mirror_syncer.volume.reading import GZIP
from mirror_syncer.volume.room import LITTLE
from mirror_syncer.volume.stream import StreamedPages, digest_of
from mirror_syncer.volume.tree import Tree
from mirror_syncer.volume.view import View
from mirror_syncer.volume.volume import Volume
from mirror_syncer.volume.wheel import METADATA_MOST, wheel_metadata

__all__ = [
    "GZIP",
    "LITTLE",
    "METADATA_MOST",
    "Arrival",
    "Gathered",
    "Generation",
    "Incoming",
    "PageSet",
    "StagedDocument",
    "StagedPages",
    "StreamedPages",
    "Tree",
    "View",
    "Volume",
    "digest_of",
    "disk_says",
    "state_disk_says",
    "wheel_metadata",
]
