"""The mirror alone as the source of pages and requirements: what is published now can be installed now."""

import asyncio
import time
from collections.abc import Iterable

from packaging.utils import NormalizedName

from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.metadata_source import MetadataSource
from mirror_syncer.closure.requests import MAX_REQUESTS, FailedRequests, RequestCounts, SharedCalls
from mirror_syncer.model.page import File, Page, PublishedPage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.requirement_lines import RequirementLines
from mirror_syncer.publish import find_published
from mirror_syncer.volume import AnyView


class MirrorSource:
    """The published pages, and the requirements of their files; upstream is not asked, and nothing is stored."""

    def __init__(self, *, catalog: Catalog, view: AnyView) -> None:
        self._view = view
        self._published = SharedCalls[NormalizedName, PublishedPage | None]()
        self._metadata = MetadataSource(
            catalog=catalog,
            view=view,
            index=None,
            pages=self,
            priority=Priority.NAMED,
            slots=asyncio.Semaphore(MAX_REQUESTS),
            counts=RequestCounts(),
            now=lambda: int(time.time()),
            stores=False,
            failed=FailedRequests(),
        )

    async def page(self, name: NormalizedName) -> Page | None:
        """
        Return a project's published page; None if it has none.

        Raises:
            PathError: it cannot be read.
        """
        published = await self.published(name)
        return None if published is None else published.page

    def is_unconfirmed(self, name: NormalizedName) -> bool:  # noqa: ARG002 - as in the protocol
        """Return False: upstream is asked for nothing, so nothing is kept from it."""
        return False

    async def published(self, name: NormalizedName) -> PublishedPage | None:
        """
        Return a project's published page; None if it has none.

        Raises:
            PathError: it cannot be read.
        """
        return await self._published.get(name, lambda: asyncio.to_thread(find_published, self._view, name))

    def is_known(self, file: File) -> bool:
        """Return whether ``prefetch`` found what a file requires."""
        return self._metadata.is_known(file)

    async def prefetch(self, files: Iterable[File]) -> None:
        """Read what the catalog knows about many files by one query."""
        await self._metadata.prefetch(files)

    async def requirement_lines(self, project: NormalizedName, file: File) -> RequirementLines:
        """
        Return what a published file requires.

        Raises:
            FileRejectedError: it is missing on disk, or unreadable.
            PathError: it cannot be read.
        """
        return await self._metadata.lines(project, file)
