"""A project's page: asked for until it is as new as it should be, or read again where it did not change."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import Page
from mirror_syncer.model.project import NO_VALIDATORS, KeptPage, ProjectRow
from mirror_syncer.publish import PublishedPage, find_published
from mirror_syncer.upstream import Gone, Index, NotModified, PageResponse, parse_page
from mirror_syncer.volume import Tree
from mirror_syncer.work.transfer.job import Work

# An edge of the CDN serves the old page for some seconds after a change: 2 + 4 + 8 s, holding no connection.
STALE_WAITS = (2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What upstream answered when it was asked for a page."""

    answer: PageResponse | NotModified | Gone
    older: bool = False
    """By its serial the page may be older than the last one; content has to decide."""
    doubted: bool = False
    """The page has a serial that is not believed."""


class PageTransfer:
    """
    Brings pages: upstream's, or what a 304 stands for.

    Args:
        kept: returns upstream's page as it was kept for a project, where it was.
        stale_waits: seconds before each further request for a page that is older than it should be.
    """

    def __init__(
        self,
        *,
        index: Index,
        tree: Tree,
        kept: Callable[[NormalizedName], Awaitable[KeptPage | None]],
        stale_waits: tuple[float, ...],
    ) -> None:
        self._index = index
        self._tree = tree
        self._kept = kept
        self._stale_waits = stale_waits

    async def ask(self, work: Work, row: ProjectRow) -> Asked:
        """
        Ask for the page; one that seems older than ours is asked for again, a little later.

        So is, once, one older than upstream's list: the first answer after a purge may still be the old one. If it
        stays so, the page is taken: an invitation moves the serial, but not the page.

        The page that is returned has a serial only where it is believed.

        Raises:
            UpstreamError: it could not be had.
            InvalidPageError: what came is none.
        """
        validators = NO_VALIDATORS if work.force else row.validators
        for attempt, wait in enumerate((*self._stale_waits, None)):
            answer = await self._index.page(work.name, validators=validators, priority=work.priority)
            if not isinstance(answer, PageResponse):
                serial, older, doubted = row.serial, False, False
            else:
                serial = work.bounds.trusted(answer.page.serial)
                doubted = serial != answer.page.serial
                older = not work.force and work.bounds.may_be_older(serial, row.serial, wanted=work.wanted_serial)
                answer = replace(answer, page=replace(answer.page, serial=serial))
            if wait is None or not (older or (attempt == 0 and work.outdates(serial))):
                return Asked(answer, older=older, doubted=doubted)
            await asyncio.sleep(wait)
        raise AssertionError

    async def unchanged(self, name: NormalizedName) -> tuple[Page, KeptPage | None]:
        """
        Return the page that a 304 speaks of: what was kept of it, or what was published whole.

        Raises:
            InvalidPageError: there is neither, or what was kept is damaged.
        """
        kept = await self._kept(name)
        published = None if kept else await asyncio.to_thread(find_published, self._tree, name)
        return await unchanged_page(kept, published), kept


async def unchanged_page(kept: KeptPage | None, published: PublishedPage | None) -> Page:
    """Return the page that a 304 speaks of; errors as of ``PageTransfer.unchanged``."""
    if kept is not None:
        return await asyncio.to_thread(  # as large as they come
            parse_page, kept.body, content_type=kept.content_type, name=kept.name, url=kept.url, serial=kept.serial
        )
    if published is not None:
        return published.page
    raise InvalidPageError("upstream says that its page did not change, and ours is lost; `sync --force` fetches it")
