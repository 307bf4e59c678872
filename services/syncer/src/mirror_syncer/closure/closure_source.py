"""Where the dependency closure gets pages and requirements from: from the mirror itself, else from upstream."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from types import TracebackType
from typing import Self

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.metadata_source import MetadataSource
from mirror_syncer.closure.page_source import PageSource
from mirror_syncer.closure.requests import MAX_REQUESTS, FailedRequests, RequestCounts
from mirror_syncer.config.settings import Settings
from mirror_syncer.model.page import File, Page, PublishedPage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.requirement_lines import RequirementLines
from mirror_syncer.model.serials import SerialBounds
from mirror_syncer.upstream import Index
from mirror_syncer.volume import AnyView
from mirror_syncer.work.transfer.unhashed import UnhashedFiles


class ClosureSource:
    """
    The pages and requirements for one closure, each found once; a context manager whose exit ends all requests.

    Args:
        index: None: upstream is not asked; ``counts.not_made`` tells how often it would have been.
        unhashed: decides about files without a sha256, as a sync does.
        bounds: how far upstream's serials are believed.
        now: returns the time in seconds since the epoch.
        force: also ask upstream again for projects that it lacked less than a day ago.
        stores: False: nothing is stored, for a command beside the service.
        refreshed: projects whose page is requested again, though one is stored: a sync begins with that, too.
        failed: what failed before in this run, and is not requested again; it grows.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        view: AnyView,
        index: Index | None,
        unhashed: UnhashedFiles,
        bounds: SerialBounds,
        priority: Priority = Priority.CHANGED,
        now: Callable[[], int] = lambda: int(time.time()),
        force: bool = False,
        stores: bool = True,
        refreshed: Collection[NormalizedName] = (),
        failed: FailedRequests | None = None,
    ) -> None:
        failed = FailedRequests() if failed is None else failed
        self.counts = RequestCounts()
        slots = asyncio.Semaphore(MAX_REQUESTS)
        self._pages = PageSource(
            catalog=catalog,
            view=view,
            index=index,
            unhashed=unhashed,
            bounds=bounds,
            priority=priority,
            slots=slots,
            counts=self.counts,
            now=now,
            force=force,
            stores=stores,
            refreshed=refreshed,
            failed=failed,
        )
        self._metadata = MetadataSource(
            catalog=catalog,
            view=view,
            index=index,
            pages=self._pages,
            priority=priority,
            slots=slots,
            counts=self.counts,
            now=now,
            stores=stores,
            failed=failed,
        )

    @classmethod
    def without_storing(
        cls,
        settings: Settings,
        *,
        catalog: Catalog,
        view: AnyView,
        index: Index | None = None,
        refreshed: Collection[NormalizedName] = (),
    ) -> Self:
        """Return a source that stores nothing, for an answer beside the syncs. Blocks for the catalog."""
        return cls(
            catalog=catalog,
            view=view,
            index=index,
            unhashed=UnhashedFiles(settings.without_hash, upstream=settings.upstream, digest_of=view.other_digest),
            bounds=catalog.serial_bounds(everything=False),
            priority=Priority.NAMED,
            stores=False,
            refreshed=refreshed,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._metadata.cancel()
        await self._pages.cancel()

    async def page(self, name: NormalizedName) -> Page | None:
        """
        Return a project's page as upstream last sent it; None if upstream has no such project.

        It is the kept page, the published page where that is whole, or upstream's. Where this stores, that of a project
        that is not published is kept, so that a sync publishes it without another request.

        Raises:
            UpstreamError: the page could not be fetched.
            InvalidPageError: upstream's answer is no page.
            VolumeError: the published page cannot be read, and upstream's could not be fetched.
            StateError: the catalog's disk failed.
        """
        return await self._pages.page(name)

    def is_unconfirmed(self, name: NormalizedName) -> bool:
        """Return whether the page that ``page`` returned may never have been upstream's, but only the mirror's."""
        return self._pages.is_unconfirmed(name)

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """Return a project's published page, whose files are on disk; None if there is none that can be read."""
        return await self._pages.published(name)

    def is_known(self, file: File) -> bool:
        """Return whether ``prefetch`` found what a file requires."""
        return self._metadata.is_known(file)

    async def prefetch(self, files: Iterable[File]) -> None:
        """Read what the catalog knows about many files by one query, before they are asked for one by one."""
        await self._metadata.prefetch(files)

    async def requirement_lines(self, project: NormalizedName, file: File) -> RequirementLines:
        """
        Return what a file of a project's page requires.

        It is read from the catalog, from the file or its ``.metadata`` on disk, or from upstream: its ``.metadata``,
        the end of the wheel, or the whole source distribution. That of a source distribution of more than 10 MB, or
        one that cannot be read, counts as unknown: ``is_dynamic``, without lines. So does what only upstream could say,
        if it is not asked.

        Raises:
            UpstreamError: upstream did not deliver it.
            FileRejectedError: the file is not what its page says, or is a wheel that cannot be read.
            PathError: the file cannot be read on disk.
            StateError: the catalog's disk failed.
        """
        return await self._metadata.lines(project, file)
