"""Files that no page names any more leave, once their time has come."""

import time

from mirror_syncer.catalog import Catalog, Retirement
from mirror_syncer.errors import InvalidPage
from mirror_syncer.publish import parse_published
from mirror_syncer.volume import Volume


def collect(*, catalog: Catalog, volume: Volume) -> int:
    """
    Remove, or put aside, every retired file that is due.

    Their rows were committed after a ``sync`` later than the page that dropped them, so no page that a power cut could
    bring back names them. A file that a page names all the same stays.

    Returns:
        How many files left the document root.
    """
    left = 0
    while due := catalog.files.due(now=int(time.time())):
        for retirement in due:
            if _named(volume, retirement):
                continue
            if retirement.withdraw:
                volume.withdraw(retirement.place)
            else:
                volume.remove(retirement.place)
            left += 1
        catalog.files.removed([retirement.place for retirement in due])
    return left


def _named(volume: Volume, retirement: Retirement) -> bool:
    page = volume.page(retirement.project)
    try:
        published = None if page is None else parse_published(page, name=retirement.project)
    except InvalidPage:
        return True  # a damaged page may name it
    return published is not None and retirement.place in published.places.values()
