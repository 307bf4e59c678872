"""Files that no page names any more leave, once their time has come."""

import time

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import InvalidPage
from mirror_syncer.publish import read_published
from mirror_syncer.volume import Volume


def collect(name: NormalizedName, *, catalog: Catalog, volume: Volume) -> int:
    """
    Remove, or put aside, the retired files of a project that are due.

    Their rows were committed after a ``sync`` later than the page that dropped them, so no page that a power cut could
    bring back names them. A file that the page names all the same stays; while the page is damaged, all do. No other
    task has the project in hand meanwhile.

    Returns:
        How many files left the document root.
    """
    due = catalog.files.due(name, now=int(time.time()))
    try:
        published = read_published(volume, name)
    except InvalidPage:
        return 0
    named = frozenset(published.places.values()) if published else frozenset()
    leaving = [retirement for retirement in due if retirement.place not in named]
    for retirement in leaving:
        if retirement.withdraw:
            volume.withdraw(retirement.place)
        else:
            volume.remove(retirement.place)
    catalog.files.removed([retirement.place for retirement in due])
    return len(leaving)
