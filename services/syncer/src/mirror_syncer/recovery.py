"""
Catalog and tree brought together again.

After a crash, what publications that were broken off had in hand is looked at, and nothing else. A lost catalog is made
anew from the pages.
"""

import itertools
import time

from mirror_syncer.catalog import Catalog, Pending, ProjectRow, Retirement, Settlement
from mirror_syncer.errors import InvalidPage
from mirror_syncer.policy import Removal
from mirror_syncer.publish import PublishedPage, parse_published
from mirror_syncer.volume import Volume


def recover(*, catalog: Catalog, volume: Volume, removal: Removal) -> int:
    """
    Bring catalog and tree together again.

    A file that its project's page names is published. Of the others, a whole one stays for its grace period, so that
    the next sync need not fetch it again; a damaged one goes at once. Temporaries go.

    Returns:
        How many projects had something in hand.
    """
    due = int(time.time() + removal.grace.total_seconds())
    projects = 0
    for name, group in itertools.groupby(catalog.files.pending(), key=lambda intent: intent.project):
        intents = list(group)
        volume.clean_up(name, [(intent.place, intent.sha256) for intent in intents])
        page = volume.page(name)
        try:
            published = None if page is None else parse_published(page, name=name)
        except InvalidPage:
            published = None
        held = catalog.files.held([intent.place for intent in intents])
        leaving = [
            Retirement(name, intent.place, intent.sha256, due_at=due)
            for intent in intents
            if not _names(published, intent) and intent.place not in held and _whole(volume, intent)
        ]
        catalog.files.recover(name, leaving)
        projects += 1
    volume.clean_staging()
    return projects


def rebuild(*, catalog: Catalog, volume: Volume) -> int:
    """
    Make the rows of a lost catalog from the pages of its tree; nothing is deleted, nothing that is there fetched again.

    Returns:
        How many projects the tree has.
    """
    catalog.take_over(volume.mirror_id)
    projects = 0
    for name in volume.projects():
        page = volume.page(name)
        try:
            published = None if page is None else parse_published(page, name=name)
        except InvalidPage:
            continue  # the next sync writes it anew
        if published is not None:
            row = ProjectRow(
                name,
                serial=published.page.serial,
                file_count=len(published.files),
                stored_bytes=sum(file.size or 0 for file in published.files.values()),
                published=True,
            )
            catalog.settle([Settlement(row)])
            projects += 1
    return projects


def _names(published: PublishedPage | None, intent: Pending) -> bool:
    return published is not None and intent.place in published.places.values()


def _whole(volume: Volume, intent: Pending) -> bool:
    found = volume.digest(intent.place)
    if found is not None and found != intent.sha256:
        volume.remove(intent.place)
    return found == intent.sha256
