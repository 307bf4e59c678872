"""
Catalog and tree brought together again.

After a crash, what publications that were broken off had in hand is looked at, and nothing else. A lost catalog is made
anew from the pages.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.config import Removal
from mirror_syncer.errors import PathError, VolumeFullError
from mirror_syncer.model.page import ProjectStatus, PublishedPage
from mirror_syncer.model.project import NO_VALIDATORS, ProjectRow, Retirement
from mirror_syncer.publish import find_published
from mirror_syncer.volume import Volume

log = structlog.get_logger()

_LEFTOVERS_STAY = 3_600  # seconds, also where removals have no grace: the next sync has most likely use for them


def recover(*, catalog: Catalog, volume: Volume, removal: Removal) -> int:
    """
    Put right what a crash left.

    Returns:
        How many projects had something in hand.
    """
    names = dict.fromkeys(intent.project for intent in catalog.files.pending())
    for name in names:
        try:
            recover_project(name, catalog=catalog, volume=volume, removal=removal)
        except PathError as error:  # it stays in hand; the next start looks at it again
            log.warning("a project is not recovered", project=name, why=str(error))
    volume.clean_staging()
    return len(names)


def recover_project(name: NormalizedName, *, catalog: Catalog, volume: Volume, removal: Removal) -> None:
    """
    Put right what a publication left that was broken off.

    A file that the project's page names is published. The others stay for their grace period, an hour at least, so that
    the next sync need not fetch them again, unless they were to leave at once, or their time had come. Temporaries
    go, and metadata whose file never came. Where it was the page that was being changed, upstream is asked anew.
    A file that cannot be read or removed leaves as one that is retired does: each run tries it again.

    Raises:
        PathError: the project's page cannot be read, or its temporaries not be removed.
    """
    intents = catalog.files.pending(name)
    files = [intent for intent in intents if not intent.is_page]
    volume.clean_up(name, [(intent.place, intent.sha256) for intent in files])
    published = find_published(volume, name)
    named = frozenset(published.places.values()) if published else frozenset()
    held = catalog.files.held([intent.place for intent in files])
    now = int(time.time())
    later = now + max(int(removal.grace.total_seconds()), _LEFTOVERS_STAY)
    overdue = {retirement.place for retirement in catalog.files.due(name, now=now)}
    leaving, returned = [], []
    for intent in files:
        if intent.place in named:
            returned.append(intent.place)  # it may have been about to leave, since an earlier crash
            continue
        due = now if intent.withdraw or intent.place in overdue else later
        try:
            if (size := volume.size(intent.place)) is None:
                volume.remove(intent.place)  # its metadata comes first
                continue
            ours = volume.digest(intent.place) == intent.sha256
        except (PathError, VolumeFullError) as error:
            log.warning("a file is not recovered", project=name, place=intent.place, why=str(error))
            size, ours = 0, True
        # Other content at the place is not this publication's: a file has its name only when it is whole. One that left
        # before, and came back, leaves again.
        if ours and held.get(intent.place, intent.sha256) == intent.sha256:
            leaving.append(
                Retirement(
                    name,
                    intent.place,
                    intent.sha256,
                    due_at=due,
                    withdraw=intent.withdraw,
                    retired_at=now + _LEFTOVERS_STAY,
                    size=size,
                )
            )
    row = _row_anew(name, published, catalog=catalog) if len(files) < len(intents) else None
    catalog.recover(name, row, retirements=leaving, returned=returned)


def _row_anew(name: NormalizedName, published: PublishedPage | None, *, catalog: Catalog) -> ProjectRow | None:
    """
    Return a project's row as it is true of a page that may be visible or not, whole or half.

    It has no validators: a 304 would say that all is as it was before. A first page that became visible is published,
    so that it can be withdrawn.
    """
    row = catalog.projects.get(name)
    if published is not None:
        row = shown(row or ProjectRow(name), published)
    return None if row is None else replace(row, validators=NO_VALIDATORS, page_sha256=None)


def rebuild(*, catalog: Catalog, volume: Volume) -> int:
    """
    Make the rows of a lost catalog from the pages of its tree; nothing is deleted, nothing that is there fetched again.

    Returns:
        How many projects the tree has.
    """
    rows = list(_rows(volume))
    catalog.take_over(volume.mirror_id, rows, generation=volume.generation())
    return len(rows)


def _rows(volume: Volume) -> Iterator[ProjectRow]:
    for name in volume.projects():
        # One that is damaged the next sync writes anew.
        try:
            published = find_published(volume, name)
            digest = volume.page_digest(name)
        except PathError as error:
            log.warning("a page cannot be read, and is not in the new catalog", project=name, why=str(error))
            continue
        if published is not None:
            yield shown(ProjectRow(name, serial=published.page.serial, page_sha256=digest), published)


def shown(row: ProjectRow, published: PublishedPage) -> ProjectRow:
    """Return a row with what the project's page shows."""
    size = sum(file.size or 0 for file in published.files.values())
    quarantined = published.page.status is ProjectStatus.QUARANTINED
    return replace(row, published=True, quarantined=quarantined, file_count=len(published.files), stored_bytes=size)
