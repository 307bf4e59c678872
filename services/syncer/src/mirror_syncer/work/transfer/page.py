"""Upstream's page of a project: asked for until it is as new as it should be, or read again if it did not change."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from packaging.utils import NormalizedName

from mirror_syncer.errors import InvalidPageError
from mirror_syncer.model.page import Page, PublishedPage
from mirror_syncer.model.project import NO_VALIDATORS, KeptPage, ProjectRow
from mirror_syncer.model.validators import Validators
from mirror_syncer.publish import find_published
from mirror_syncer.upstream import Gone, Index, NotModified, PageResponse, parse_page
from mirror_syncer.volume import AnyView
from mirror_syncer.work.transfer.job import Work

# An edge of the CDN serves the old page for some seconds after a change: 2 + 4 + 8 s, holding no connection.
STALE_WAITS = (2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What upstream answered when it was asked for a page."""

    answer: PageResponse | NotModified | Gone
    older: bool = False
    """By its serial the page may be older than the last one; its content decides."""
    doubted: bool = False
    """The page has a serial that is not believed."""


class PageTransfer:
    """
    Fetches upstream's pages, or reads again what a 304 stands for.

    Args:
        kept: returns upstream's page as it was kept for a project, if it was.
        stale_waits: seconds before each further request for a page that is older than it should be.
    """

    def __init__(
        self,
        *,
        index: Index,
        view: AnyView,
        kept: Callable[[NormalizedName], Awaitable[KeptPage | None]],
        stale_waits: tuple[float, ...],
    ) -> None:
        self._index = index
        self._view = view
        self._kept = kept
        self._stale_waits = stale_waits

    async def ask(self, work: Work, row: ProjectRow, *, validators: Validators) -> Asked:
        """
        Ask for the page, and a little later again for one that seems older than ours.

        A page older than upstream's list is asked for once more: the first answer after a purge may still be the old
        one. If it stays so, it is taken: an invitation moves the serial, but not the page.

        The page that is returned has a serial only if that is believed.

        Raises:
            UpstreamError: the page could not be fetched.
            InvalidPageError: the answer is no page.
        """
        validators = NO_VALIDATORS if work.force else validators
        for attempt, wait in enumerate((*self._stale_waits, None)):
            answer = await self._index.page(work.name, validators=validators, priority=work.priority)
            if not isinstance(answer, PageResponse):
                serial, older, doubted = row.serial, False, False
            else:
                serial = work.bounds.trusted(answer.page.serial)
                doubted = serial != answer.page.serial
                older = not work.force and work.bounds.may_be_older(serial, row.serial, wanted=work.wanted_serial)
                if doubted:
                    answer = replace(answer, page=replace(answer.page, serial=serial))
            if wait is None or not (older or (attempt == 0 and work.outdates(serial))):
                return Asked(answer, older=older, doubted=doubted)
            await asyncio.sleep(wait)
        raise AssertionError

    async def unchanged(self, name: NormalizedName) -> tuple[Page, KeptPage | None]:
        """
        Return the page that a 304 stands for: what was kept of it, or what was published whole.

        Raises:
            InvalidPageError: there is neither, or what was kept is damaged.
        """
        kept = await self._kept(name)
        published = None if kept else await asyncio.to_thread(find_published, self._view, name)
        return await asyncio.to_thread(last_page, kept, published), kept


def last_page(kept: KeptPage | None, published: PublishedPage | None) -> Page:
    """
    Return upstream's page as it was last taken: it is kept unless ours says the same.

    Raises:
        InvalidPageError: there is neither, or what was kept is damaged.
    """
    if kept is not None:
        return parse_page(kept.body, content_type=kept.content_type, name=kept.name, url=kept.url, serial=kept.serial)
    if published is not None:
        return published.page
    raise InvalidPageError("upstream says that its page did not change, and ours is lost; `sync --force` fetches it")
