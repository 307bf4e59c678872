"""
The reconciliation of a tree and a catalog of different age, after a rollback or a restored backup of one of them.

The next sync requests each page that differs from the catalog, without validators. Projects and files that the catalog
knows as removed are removed again.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import structlog

from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import NO_VALIDATORS, Pending, ProjectRow, Retirement
from mirror_syncer.publish import find_published
from mirror_syncer.publish.generations import Generations, Mismatch
from mirror_syncer.publish.project_list import ProjectList
from mirror_syncer.publish.recovery import update_from_page
from mirror_syncer.volume import AnyVolume

log = structlog.get_logger()

_BATCH_ROWS = 1_000


@dataclass(slots=True)
class _Found:
    pages: int = 0
    """Differing pages, to be requested again."""
    withdrawn: int = 0
    """Removed projects that had reappeared, and were removed again."""
    files: int = 0
    """Removed files that had reappeared, to be removed again."""


class Reconciliation:
    """The comparison of tree and catalog at the start, and the repair of differences."""

    def __init__(
        self, *, catalog: Catalog, volume: AnyVolume, generations: Generations, project_list: ProjectList
    ) -> None:
        self._catalog = catalog
        self._volume = volume
        self._generations = generations
        self._list = project_list

    def mismatch(self) -> Mismatch | None:
        """Return how tree and catalog differ, or None."""
        return self._generations.mismatch()

    def run(self) -> Mismatch | None:
        """
        Reconcile them if needed, and return how they differed. It blocks for the disk; nothing else may run.

        If it is interrupted, the next start repeats it.

        Raises:
            VolumeError: the disk failed.
        """
        mismatch = self.mismatch()
        if mismatch is not None:
            log.warning("reconciling: comparing all pages; those that differ are downloaded again", why=str(mismatch))
            found = _Found()
            self._compare_rows(found)
            leaving = self._compare_pages(found, trusted=mismatch is Mismatch.OLDER_TREE)
            # Removal uses the reverse order: the list before the page, the page before its files.
            self._list.rewrite()
            for row in leaving:
                self._withdraw(row)
            found.files = self._catalog.files.expire(self._find_reappeared())
            log.warning("reconciled", pages=found.pages, withdrawn_again=found.withdrawn, files_leaving=found.files)
        self._generations.accept(reconciled=mismatch is not None)
        return mismatch

    def _compare_rows(self, found: _Found) -> None:
        """Mark each published project whose page differs from the catalog's digest."""
        every = self._catalog.projects.all_rows()
        while rows := list(islice(every, _BATCH_ROWS)):
            differing = [row for row in rows if row.published and not self._is_published(row)]
            self._catalog.projects.replace([self._mark_outdated(row) for row in differing])
            found.pages += len(differing)

    def _is_published(self, row: ProjectRow) -> bool:
        return row.page_sha256 is not None and self._volume.page_digest(row.name) == row.page_sha256

    def _compare_pages(self, found: _Found, *, trusted: bool) -> list[ProjectRow]:
        """
        Mark pages of projects that the catalog does not know as published; return the projects to withdraw.

        Args:
            trusted: the catalog is the newer one, so projects that it withdrew are withdrawn again. Otherwise the next
                sync decides.
        """
        leaving = []
        for name in self._volume.projects():
            row = self._catalog.projects.get(name)
            if row is not None and row.published:
                continue
            if trusted and row is not None and row.state is ProjectState.WITHDRAWN:
                leaving.append(row)
                found.withdrawn += 1
            else:
                self._catalog.projects.replace([self._mark_outdated(row or ProjectRow(name))])
                found.pages += 1
        return leaving

    def _mark_outdated(self, row: ProjectRow) -> ProjectRow:
        """Return a row with the facts of the page on disk, without validators, so that the next sync requests it."""
        published = find_published(self._volume, row.name)
        if published is not None:
            # Upstream's page must not be older than the page on disk or the catalog's row.
            serial = max((s for s in (row.serial, published.page.serial) if s is not None), default=None)
            row = update_from_page(replace(row, serial=serial), published)
        return replace(
            row,
            published=bool(self._volume.page_state(row.name)),
            state=ProjectState.BEHIND,
            validators=NO_VALIDATORS,
            page_sha256=None,
            due_at=int(time.time()),
            error="an older copy of the tree or the catalog was restored; the next sync downloads this page again",
        )

    def _withdraw(self, row: ProjectRow) -> None:
        published = find_published(self._volume, row.name)
        now, files = int(time.time()), published.files if published else {}
        places = published.places if published else {}
        leaving = [Retirement(row.name, places[name], file.sha256, due_at=now) for name, file in files.items()]
        taken = self._catalog.files.claim(
            [Pending.page(row.name), *(Pending(row.name, file.place, file.sha256) for file in leaving)]
        )
        self._volume.remove_page(row.name)
        self._volume.sync()
        leaving = [file for file in leaving if file.place not in taken]
        self._catalog.recover(row.name, row, retirements=leaving, returned=())

    def _find_reappeared(self) -> Iterator[PackagePath]:
        """Yield the places of removed files that exist again; ``collect`` checks whether a page names them."""
        for place in self._catalog.files.removed_places():
            if self._volume.size(place) is not None:
                yield place
