"""
Tree and catalog of different times, brought together: a snapshot was rolled back, or a backup of one was restored.

What differs is not guessed: the next sync fetches each page that is not the one that the catalog knows, without
validators. What the catalog knows to have left leaves again.
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
from mirror_syncer.volume import Volume

log = structlog.get_logger()

_BATCH_ROWS = 1_000


@dataclass(slots=True)
class _Found:
    pages: int = 0
    """That differ, and are to be asked for."""
    withdrawn: int = 0
    """Projects that came back, and left again."""
    files: int = 0
    """That came back, and are to leave again."""


class Reconciliation:
    """Compares tree and catalog before work begins, and brings them together where they differ."""

    def __init__(
        self, *, catalog: Catalog, volume: Volume, generations: Generations, project_list: ProjectList
    ) -> None:
        self._catalog = catalog
        self._volume = volume
        self._generations = generations
        self._list = project_list

    def needed(self) -> Mismatch | None:
        """Return how tree and catalog differ, or None."""
        return self._generations.mismatch()

    def run(self) -> Mismatch | None:
        """
        Reconcile them where that is needed, and return how they differed. It blocks for the disk; nobody else works.

        Killed anywhere, it is begun again at the next start.

        Raises:
            VolumeError: the disk says no.
        """
        mismatch = self.needed()
        if mismatch is not None:
            log.warning("pages are compared, and those that differ are fetched again", why=str(mismatch))
            found = _Found()
            self._compare_rows(found)
            leaving = self._compare_pages(found, trusted=mismatch is Mismatch.OLDER_TREE)
            # Removal goes the other way round: the list before the page, the page before its files.
            self._list.rewrite()
            for row in leaving:
                self._withdraw(row)
            found.files = self._catalog.files.expire(self._find_reappeared())
            log.warning("reconciled", pages=found.pages, withdrawn_again=found.withdrawn, files_leaving=found.files)
        self._generations.accept(anew=mismatch is not None)
        return mismatch

    def _compare_rows(self, found: _Found) -> None:
        """Have each published project asked for whose page is not the one that the catalog knows."""
        every = self._catalog.projects.all_rows()
        while rows := list(islice(every, _BATCH_ROWS)):
            differing = [row for row in rows if row.published and not self._is_published(row)]
            self._catalog.projects.replace([self._mark_outdated(row) for row in differing])
            found.pages += len(differing)

    def _is_published(self, row: ProjectRow) -> bool:
        return row.page_sha256 is not None and self._volume.page_digest(row.name) == row.page_sha256

    def _compare_pages(self, found: _Found, *, trusted: bool) -> list[ProjectRow]:
        """
        See to pages of projects that are not published by what the catalog says; return those that are to leave.

        Args:
            trusted: the catalog is the newer one: what it withdrew leaves again. Otherwise the next sync decides.
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
        """Return a row with what the page that lies there shows; nothing but a whole answer of upstream replaces it."""
        published = find_published(self._volume, row.name)
        if published is not None:
            # A page that is older than what lies there is not taken, whichever of the two is older.
            serial = max((s for s in (row.serial, published.page.serial) if s is not None), default=None)
            row = update_from_page(replace(row, serial=serial), published)
        return replace(
            row,
            published=bool(self._volume.page_state(row.name)),
            state=ProjectState.BEHIND,
            validators=NO_VALIDATORS,
            page_sha256=None,
            due_at=int(time.time()),
            error="an older copy of the tree or of the catalog was restored; its page is fetched again",
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
        self._volume.durability.sync()
        leaving = [file for file in leaving if file.place not in taken]
        self._catalog.recover(row.name, row, retirements=leaving, returned=())

    def _find_reappeared(self) -> Iterator[PackagePath]:
        """Yield the places of what left before, and lies there: ``collect`` finds out whether a page names it."""
        for place in self._catalog.files.removed_places():
            if self._volume.size(place) is not None:
                yield place
