"""
Catalog and tree brought together again.

After a crash, what publications that were broken off had in hand is looked at, and nothing else. A lost catalog is made
anew from the pages.
"""

import time
from collections.abc import Iterator

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import InvalidPage
from mirror_syncer.policy import Removal
from mirror_syncer.publish import read_published
from mirror_syncer.rows import ProjectRow, Retirement
from mirror_syncer.volume import Volume


def recover(*, catalog: Catalog, volume: Volume, removal: Removal) -> int:
    """
    Put right what a crash left.

    Returns:
        How many projects had something in hand.
    """
    names = dict.fromkeys(intent.project for intent in catalog.files.pending())
    for name in names:
        recover_project(name, catalog=catalog, volume=volume, removal=removal)
    volume.clean_staging()
    return len(names)


def recover_project(name: NormalizedName, *, catalog: Catalog, volume: Volume, removal: Removal) -> None:
    """
    Put right what a publication left that was broken off.

    A file that the project's page names is published. The others stay for their grace period, so that the next sync
    need not fetch them again, unless they were to leave at once. Temporaries go.
    """
    intents = catalog.files.pending(name)
    volume.clean_up(name, [(intent.place, intent.sha256) for intent in intents])
    try:
        published = read_published(volume, name)
    except InvalidPage:
        published = None
    named = frozenset(published.places.values()) if published else frozenset()
    held = catalog.files.held([intent.place for intent in intents])
    now = int(time.time())
    later = now + int(removal.grace.total_seconds())
    leaving = [
        Retirement(
            name, intent.place, intent.sha256, due_at=now if intent.withdraw else later, withdraw=intent.withdraw
        )
        for intent in intents
        # Other content at the place is not this publication's: a file has its name only when it is whole.
        if intent.place not in named and intent.place not in held and volume.digest(intent.place) == intent.sha256
    ]
    catalog.files.recover(name, leaving)


def rebuild(*, catalog: Catalog, volume: Volume) -> int:
    """
    Make the rows of a lost catalog from the pages of its tree; nothing is deleted, nothing that is there fetched again.

    Returns:
        How many projects the tree has.
    """
    rows = list(_rows(volume))
    catalog.take_over(volume.mirror_id, rows)
    return len(rows)


def _rows(volume: Volume) -> Iterator[ProjectRow]:
    for name in volume.projects():
        try:
            published = read_published(volume, name)
        except InvalidPage:
            published = None  # the next sync writes it anew
        if published is not None:
            yield ProjectRow(
                name,
                serial=published.page.serial,
                file_count=len(published.files),
                stored_bytes=sum(file.size or 0 for file in published.files.values()),
                published=True,
            )
