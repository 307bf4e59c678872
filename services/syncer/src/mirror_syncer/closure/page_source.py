"""Pages of projects for the dependency closure: as they are stored here, else upstream's."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from packaging.utils import NormalizedName

from mirror_contract import ProjectState
from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.requests import FailedRequests, RequestCounts, SharedCalls
from mirror_syncer.closure.source import ABSENT_SECONDS
from mirror_syncer.errors import (
    InvalidPageError,
    PathError,
    RefusedError,
    UnreachableError,
    UpstreamError,
    VolumeError,
)
from mirror_syncer.model.page import Page, ProjectStatus, PublishedPage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import NO_VALIDATORS, KeptPage, ProjectRow
from mirror_syncer.model.serials import SerialBounds
from mirror_syncer.publish import find_published
from mirror_syncer.upstream import Gone, Index, NotModified, PageResponse
from mirror_syncer.volume import AnyView
from mirror_syncer.work.transfer.page import last_page
from mirror_syncer.work.transfer.unhashed import UnhashedFiles

_MAX_AGE_SECONDS = 86_400  # of a page that no sync refreshes, since its project is not published


class _Stored(NamedTuple):
    row: ProjectRow | None
    page: Page | None
    is_absent: bool
    """Upstream lacked the project a short time ago."""

    @property
    def is_upstreams(self) -> bool:
        """
        Whether the page is upstream's, as far as is known.

        A tree that was adopted may have projects that upstream never had; its rows have no mark of an answer.
        """
        row = self.row
        return row is None or not row.published or row.serial is not None or row.validators != NO_VALIDATORS


class PageSource:
    """
    Finds pages, each once.

    Args:
        index: None: upstream is not asked.
        unhashed: decides about files without a sha256, as a sync does.
        bounds: how far upstream's serials are believed.
        slots: bounds the requests at once.
        now: returns the time in seconds since the epoch.
        force: also ask upstream again for projects that it lacked a short time ago.
        stores: False: nothing is stored.
        refreshed: projects whose page is requested again, though one is stored.
        failed: what is not requested again; it grows.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        view: AnyView,
        index: Index | None,
        unhashed: UnhashedFiles,
        bounds: SerialBounds,
        priority: Priority,
        slots: asyncio.Semaphore,
        counts: RequestCounts,
        now: Callable[[], int],
        force: bool,
        stores: bool,
        refreshed: Collection[NormalizedName],
        failed: FailedRequests,
    ) -> None:
        self._catalog = catalog
        self._view = view
        self._index = index
        self._unhashed = unhashed
        self._bounds = bounds
        self._priority = priority
        self._slots = slots
        self._counts = counts
        self._now = now
        self._force = force
        self._stores = stores
        self._refreshed = frozenset(refreshed)
        self._failed = failed.pages
        self._pages = SharedCalls[NormalizedName, Page | None]()
        self._published = SharedCalls[NormalizedName, PublishedPage | None]()
        self._unconfirmed = set[NormalizedName]()

    def is_unconfirmed(self, name: NormalizedName) -> bool:
        """Return whether the page that was returned for a project may never have been upstream's."""
        return name in self._unconfirmed

    async def page(self, name: NormalizedName) -> Page | None:
        """Return a project's page; errors as in ``ClosureSource.page``."""
        return await self._pages.get(name, lambda: self._find(name))

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """Return a project's published page, whose files are on disk; None if there is none that can be read."""
        return await self._published.get(name, lambda: asyncio.to_thread(self._find_published, name))

    async def cancel(self) -> None:
        """End all requests."""
        await self._pages.cancel()
        await self._published.cancel()

    async def _find(self, name: NormalizedName) -> Page | None:
        stored = await asyncio.to_thread(self._read_stored, name)
        if stored.is_absent and name not in self._refreshed:
            return None
        is_current = name not in self._refreshed and not self._is_old(stored.row)
        if stored.page is not None and is_current and (stored.is_upstreams or self._index is None):
            self._note_origin(stored)
            return stored.page
        try:
            answer = await self._ask(name, stored)
        except (UpstreamError, InvalidPageError):
            self._note_origin(stored)
            if stored.page is not None:
                return stored.page
            if self._index is not None:
                await asyncio.to_thread(self._check_readable, stored)
            raise
        if isinstance(answer, PageResponse):
            self._counts.page_bytes += len(answer.body)
            return await asyncio.to_thread(self._take, stored, answer)
        if self._stores:
            await asyncio.to_thread(self._note, name, stored, answer)
        is_published = stored.row is not None and stored.row.published
        if isinstance(answer, Gone):
            self._note_origin(stored)
        # The deletion guard decides whether a published project leaves.
        return stored.page if isinstance(answer, NotModified) or is_published else None

    def _note_origin(self, stored: _Stored) -> None:
        """Note that a stored page is taken, and whether that may never have been upstream's."""
        if stored.row is not None and not stored.is_upstreams:
            self._unconfirmed.add(stored.row.name)

    async def _ask(self, name: NormalizedName, stored: _Stored) -> PageResponse | NotModified | Gone:
        if self._index is None:
            self._counts.not_made += 1
            raise UnreachableError(f"the page of {name} is not here, and upstream was not asked")
        if (reason := self._failed.get(name)) is not None:
            raise UpstreamError(reason)
        validators = NO_VALIDATORS if stored.page is None or stored.row is None else stored.row.validators
        try:
            async with self._slots:
                self._counts.pages += 1
                answer = await self._index.page(name, validators=validators, priority=self._priority)
            if isinstance(answer, Gone) and answer.index_missing is not None:
                raise RefusedError(answer.index_missing)
        except (UpstreamError, InvalidPageError) as error:
            self._failed[name] = str(error)
            raise
        return answer

    def _is_old(self, row: ProjectRow | None) -> bool:
        """Return whether a stored page is to be asked for again: else a release that is missing now stays missing."""
        return row is not None and not row.published and (row.checked_at or 0) <= self._now() - _MAX_AGE_SECONDS

    def _read_stored(self, name: NormalizedName) -> _Stored:
        """Return what is stored of a project's page. Blocks for the catalog and the disk."""
        row = self._catalog.projects.get(name)
        page = self._last_page(name, row)
        is_published = row is not None and row.published
        absent = not (is_published or self._force) and self._catalog.absent_projects.contains(name, now=self._now())
        return _Stored(row, page, absent)

    def _last_page(self, name: NormalizedName, row: ProjectRow | None) -> Page | None:
        """Return upstream's page as it was last taken; None unless it is kept, or published whole."""
        published = None
        with suppress(InvalidPageError):
            kept = self._catalog.kept_pages.get(name)
            if row is not None and row.published:
                if kept is None and not (_is_whole(row) and self._is_as_published(row)):
                    return None
                published = self._find_published(name)
            return self._unhashed.settle(last_page(kept, published), published)
        return None

    def _find_published(self, name: NormalizedName) -> PublishedPage | None:
        """Return what is published; where the disk cannot read it, upstream's page stands in, and a refresh fails."""
        with suppress(PathError):
            return find_published(self._view, name)
        return None

    def _check_readable(self, stored: _Stored) -> None:
        """
        Raise if neither upstream nor the disk says what a published project is: what it requires is not known then.

        Raises:
            VolumeError: so nothing may be concluded, or what it requires would leave.
        """
        if stored.row is None or not stored.row.published:
            return
        try:
            find_published(self._view, stored.row.name)
        except PathError as error:
            raise VolumeError(f"{error}; upstream does not deliver that page either") from error

    def _is_as_published(self, row: ProjectRow) -> bool:
        """Return whether no other program changed the published page: what it says of files would not be upstream's."""
        try:
            found = self._view.page_digest(row.name)
        except PathError:
            return False
        return None in (found, row.page_sha256) or found == row.page_sha256

    def _note(self, name: NormalizedName, stored: _Stored, answer: NotModified | Gone) -> None:
        """Store that upstream has no other page of a project, or none, so that it is not asked again today."""
        row, now = stored.row, self._now()
        if row is not None and row.published:
            return
        if isinstance(answer, Gone):
            self._catalog.absent_projects.add(name, until=now + ABSENT_SECONDS, now=now)
        elif row is not None:
            self._catalog.keep_unpublished_page(replace(row, checked_at=now), None)

    def _take(self, stored: _Stored, answer: PageResponse) -> Page:
        """
        Return upstream's page, or the stored one if that is newer.

        It is kept if its project is not published, so that a sync needs no second request.
        """
        row, name, serial = stored.row, answer.page.name, self._bounds.trusted(answer.page.serial)
        page = replace(answer.page, serial=serial)
        if row is not None and row.published:
            if stored.page is not None and self._bounds.may_be_older(serial, row.serial, wanted=None):
                return stored.page
        elif self._stores:
            looked_at = ProjectRow(
                name,
                state=ProjectState.BEHIND,
                serial=serial,
                seen_serial=None if row is None else row.seen_serial,
                doubted=serial != answer.page.serial,
                quarantined=page.status is ProjectStatus.QUARANTINED,
                validators=answer.validators,
                # For a sync of the whole index, which passes over projects that it looked at without a change.
                due_at=self._now(),
                checked_at=self._now(),
            )
            kept = KeptPage(name, answer.url, answer.content_type, serial, answer.body)
            self._catalog.keep_unpublished_page(looked_at, kept)
            self._catalog.absent_projects.forget([name])
        return self._unhashed.settle(page, None if row is None else self._find_published(name))


def _is_whole(row: ProjectRow) -> bool:
    """Return whether a published page without a kept one says all that upstream's does."""
    return not (row.withheld_files or row.missing_files or row.lost_files)
