"""
Recovery of catalog and tree.

After a crash it examines only the pending rows of interrupted publications. A lost catalog is rebuilt from the pages.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import structlog
from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.catalog.batches import batched
from mirror_syncer.config import Removal
from mirror_syncer.errors import PathError, VolumeFullError
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.page import ProjectStatus, PublishedPage
from mirror_syncer.model.project import NO_VALIDATORS, Pending, ProjectRow, Recovered, Retirement
from mirror_syncer.publish import find_published, newest_version
from mirror_syncer.volume import AnyVolume

log = structlog.get_logger()

_MIN_LEFTOVER_SECONDS = 3_600  # even without a grace period: the next sync probably needs them


def recover(*, catalog: Catalog, volume: AnyVolume, removal: Removal) -> int:
    """
    Recover all interrupted publications, and return the number of their projects.

    Raises:
        VolumeError: the disk failed.
    """
    intents = catalog.files.pending()
    _make_durable(intents, volume)
    projects = {name: list(some) for name, some in groupby(intents, key=lambda intent: intent.project)}
    for names in batched(projects):
        # Their rows in one transaction: one for each project took longer than all the rest.
        catalog.recover_all(
            list(_recovered({name: projects[name] for name in names}, catalog=catalog, volume=volume, removal=removal))
        )
    volume.clean_staging()
    return len(projects)


def recover_project(name: NormalizedName, *, catalog: Catalog, volume: AnyVolume, removal: Removal) -> None:
    """
    Recover a project's interrupted publication.

    A file that the project's page names is published. The others stay for their grace period (at least an hour, so that
    the next sync need not download them again), unless they were overdue or to be removed at once. Temporaries, and
    metadata without a file, are removed. If the page was being changed, the next sync requests it without validators.
    A file that cannot be read or removed is retired, so that each run tries again to remove it.

    Raises:
        PathError: the project's page cannot be read, or its temporaries cannot be removed.
        VolumeError: the disk failed.
    """
    intents = catalog.files.pending(name)
    _make_durable(intents, volume)
    recorded = _recorded({name: intents}, catalog)
    catalog.recover_all([_examine(name, intents, recorded, volume=volume, removal=removal)])


def _make_durable(intents: Sequence[Pending], volume: AnyVolume) -> None:
    """
    Sync what an interrupted publication made visible, before the catalog records it.

    The interrupted process may not have synced it: a power cut could then undo the page, but not the row.
    """
    if not intents:
        return
    volume.assume_changed(
        (intent.project for intent in intents if intent.is_page),
        (intent.place for intent in intents if not intent.is_page),
    )
    volume.sync()


class _Recorded(NamedTuple):
    """What the catalog knows of interrupted projects."""

    digests: dict[str, Sha256]
    """Of files that are retired or were removed, by place."""
    overdue: set[PackagePath]
    rows: dict[NormalizedName, ProjectRow]


def _recorded(projects: Mapping[NormalizedName, Sequence[Pending]], catalog: Catalog) -> _Recorded:
    places = [intent.place for intents in projects.values() for intent in intents if not intent.is_page]
    rows = {name: row for name in projects if (row := catalog.projects.get(name)) is not None}
    return _Recorded(
        catalog.files.recorded_digests(places), catalog.files.overdue(projects, now=int(time.time())), rows
    )


def _recovered(
    projects: Mapping[NormalizedName, Sequence[Pending]], *, catalog: Catalog, volume: AnyVolume, removal: Removal
) -> Iterator[Recovered]:
    """Yield what is found of each project; one that cannot be read stays pending."""
    recorded = _recorded(projects, catalog)
    for name, intents in projects.items():
        try:
            yield _examine(name, intents, recorded, volume=volume, removal=removal)
        except PathError as error:
            log.warning("recovery of a project failed; the next start retries it", project=name, why=str(error))


def _examine(
    name: NormalizedName, intents: Sequence[Pending], recorded: _Recorded, *, volume: AnyVolume, removal: Removal
) -> Recovered:
    """Clean up after a project's interrupted publication, and return what became of its files; see above."""
    files = [intent for intent in intents if not intent.is_page]
    volume.clean_up(name, [(intent.place, intent.sha256) for intent in files])
    published = find_published(volume, name)
    named = frozenset(published.places.values()) if published else frozenset()
    now = int(time.time())
    later = now + max(int(removal.grace.total_seconds()), _MIN_LEFTOVER_SECONDS)
    leaving, returned = [], []
    for intent in files:
        if intent.place in named:
            returned.append(intent.place)  # an earlier crash may have scheduled its removal
            continue
        due = now if intent.withdraw or intent.place in recorded.overdue else later
        try:
            if (size := volume.size(intent.place)) is None:
                volume.remove(intent.place)  # metadata is written before its file
                continue
            ours = volume.digest(intent.place) == intent.sha256
        except (PathError, VolumeFullError) as error:
            log.warning(
                "recovery of a file failed; each run retries its removal",
                project=name,
                place=intent.place,
                why=str(error),
            )
            size, ours = 0, True
        # Other content at the place is not from this publication, since a file is renamed there only when complete. A
        # file that was removed before and reappeared is removed again.
        if ours and recorded.digests.get(intent.place, intent.sha256) == intent.sha256:
            leaving.append(
                Retirement(
                    name,
                    intent.place,
                    intent.sha256,
                    due_at=due,
                    withdraw=intent.withdraw,
                    retired_at=now + _MIN_LEFTOVER_SECONDS,
                    size=size,
                )
            )
    row = _rebuild_row(name, published, recorded.rows.get(name)) if len(files) < len(intents) else None
    return Recovered(name, row, leaving, returned)


def _rebuild_row(name: NormalizedName, published: PublishedPage | None, row: ProjectRow | None) -> ProjectRow | None:
    """
    Return a project's row that is correct whether or not its interrupted page became visible.

    It has no validators, because a 304 would confirm the state before the interruption. A first page that became
    visible counts as published, so that it can be withdrawn.
    """
    if published is not None:
        row = update_from_page(row or ProjectRow(name), published)
    return None if row is None else replace(row, validators=NO_VALIDATORS, page_sha256=None)


def rebuild_catalog(*, catalog: Catalog, volume: AnyVolume) -> int:
    """
    Rebuild the rows of a lost catalog from the pages of its tree, and return the number of projects.

    It deletes no file, and files that exist are not downloaded again.
    """
    rows = list(_rows(volume))
    catalog.adopt_tree(volume.mirror_id, rows, generation=volume.generation())
    return len(rows)


def _rows(volume: AnyVolume) -> Iterator[ProjectRow]:
    for name in volume.projects():
        # The next sync writes a damaged page again.
        try:
            published = find_published(volume, name)
            digest = volume.page_digest(name)
        except PathError as error:
            log.warning(
                "unreadable page; its project is missing from the rebuilt catalog", project=name, why=str(error)
            )
            continue
        if published is not None:
            yield update_from_page(ProjectRow(name, serial=published.page.serial, page_sha256=digest), published)


def update_from_page(row: ProjectRow, published: PublishedPage) -> ProjectRow:
    """Return a row updated from the project's published page."""
    size = sum(file.size or 0 for file in published.files.values())
    quarantined = published.page.status is ProjectStatus.QUARANTINED
    return replace(
        row,
        published=True,
        quarantined=quarantined,
        file_count=len(published.files),
        stored_bytes=size,
        newest_version=newest_version(row.name, published.files.values()),
    )
