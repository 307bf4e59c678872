"""
Upstream's page and ours, brought together for the judgement of a project's files.

Nothing is written: a sync applies what comes out, and ``plan`` prints it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple

from packaging.utils import NormalizedName

from mirror_syncer.config import Condition, decide, is_this_format, settle_contradictions
from mirror_syncer.errors import InvalidPageError, PathError
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.digests import NO_DIGEST
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import Page, ProjectStatus, PublishedPage
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import NO_VALIDATORS, KeptPage, ProjectRow
from mirror_syncer.model.validators import Validators
from mirror_syncer.publish import find_published
from mirror_syncer.upstream import Gone, Index, NotModified, PageResponse
from mirror_syncer.volume import AnyView
from mirror_syncer.work.transfer.job import Work
from mirror_syncer.work.transfer.page import STALE_WAITS, Asked, PageTransfer
from mirror_syncer.work.transfer.unhashed import UnhashedFiles

_LARGE_PAGE_FILES = 1_000  # judged in the event loop within 3 ms
# The size from which a thread reads our page. The hop to a thread takes 0.1 ms, even if there is no page yet.
_MIN_THREADED_BYTES = 128 * 1024


class OnDisk(NamedTuple):
    """What the published page says about how upstream is to be asked."""

    validators: Validators
    altered: bool = False
    """It is not the page that was published last."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A project's two pages, and the decision about its files."""

    work: Work
    page: Page
    """Upstream's, with a serial only if that is believed."""
    published: PublishedPage | None
    decision: Decision
    condition: Condition
    is_new: bool
    """Upstream sent a page, and it is taken; otherwise its page did not change, or is older than the last one."""
    doubted: bool
    """Its serial says nothing about its content."""
    validators: Validators = NO_VALIDATORS
    """Of upstream's page, if that is taken."""
    kept: KeptPage | None = None
    """Upstream's page as it came, if that is taken."""
    settled: bool = False
    """The page did not change, and nothing is to be done before the next attempt is due."""

    def decide_again(self, *, allow_loss: bool) -> Decision:
        """Return the decision after the deletion guard's."""
        return _decide(self.page, self.published, self.work, replace(self.condition, allow_loss=allow_loss))


class EvidenceReader:
    """
    Asks upstream about projects and decides about their files, one call each.

    Args:
        view: the tree; it is only read.
        kept: returns upstream's page as it was kept for a project, if it was.
        stale_waits: seconds before each further request for a page that is older than it should be.
    """

    def __init__(
        self,
        *,
        index: Index,
        view: AnyView,
        unhashed: UnhashedFiles,
        kept: Callable[[NormalizedName], Awaitable[KeptPage | None]],
        stale_waits: tuple[float, ...] = STALE_WAITS,
    ) -> None:
        self._index = index
        self._view = view
        self._pages = PageTransfer(index=index, view=view, kept=kept, stale_waits=stale_waits)
        self._unhashed = unhashed
        self._kept = kept

    def look_at_disk(self, work: Work, row: ProjectRow) -> OnDisk:
        """
        Return with which validators upstream is to be asked, and whether another program changed the page.

        Raises:
            PathError: the page cannot be read, and no verify has found it damaged.
        """
        found = self._page_digest(work) if row.published else None
        altered = None not in (found, row.page_sha256) and found != row.page_sha256
        # A 304 would leave a missing page so, or one that was made by other rules.
        as_left = not row.published or (
            found is not None and found == row.page_sha256 and is_this_format(row.fingerprint)
        )
        # Nor does it say whether a project that is not listed is quarantined.
        return OnDisk(row.validators if as_left and not work.unlisted else NO_VALIDATORS, altered)

    @asynccontextmanager
    async def judge(
        self, work: Work, row: ProjectRow, on_disk: OnDisk, *, settled_too: bool = False
    ) -> AsyncIterator[Judged | Gone | NotModified]:
        """
        Ask for a project's page, and decide about its files; the page counts as held in memory within the block.

        Args:
            settled_too: also decide if upstream's page did not change and nothing is to be done, which costs a read.

        Raises:
            UpstreamError: the page could not be fetched.
            InvalidPageError: the answer is no page, or the page that upstream speaks of is lost here.
            PathError: the published page cannot be read, and no verify has found it damaged. What it names is unknown
                then, so neither losses can be judged nor files retired.
        """
        # An altered page is not believed, so it cannot stand for upstream's.
        knows = work.offline and not (on_disk.altered and await self._kept(work.name) is None)
        asked = Asked(NotModified()) if knows else await self._pages.ask(work, row, validators=on_disk.validators)
        settled = isinstance(asked.answer, NotModified) and _is_settled(work, row)
        if settled and not settled_too:
            yield NotModified()
            return
        unchanged = None
        if isinstance(asked.answer, NotModified):
            try:
                unchanged = await self._pages.unchanged(work.name)
            except InvalidPageError:  # what was kept is damaged
                if work.offline:
                    raise
                asked = await self._pages.ask(work, row, validators=NO_VALIDATORS)
        match answer := asked.answer:
            case Gone():
                yield answer
                return
            case NotModified():
                page, kept = unchanged or await self._pages.unchanged(work.name)
                # Its serial as upstream gave it then: the published page's may be our own.
                page, validators = replace(page, serial=row.serial), row.validators
            case PageResponse():
                page, validators = answer.page, answer.validators
                kept = KeptPage(work.name, answer.url, answer.content_type, page.serial, answer.body)
        if work.unlisted and page.status is not ProjectStatus.QUARANTINED:
            yield Gone()
            return
        with self._index.hold_page(kept.url, len(kept.body)) if kept else nullcontext():
            judged = await self._judge(work, row, page, altered=on_disk.altered, asked=asked)
            if judged.decision.outdated is None:
                judged = replace(judged, validators=validators, kept=kept, settled=settled)
            yield judged

    async def _judge(self, work: Work, row: ProjectRow, page: Page, *, altered: bool, asked: Asked) -> Judged:
        published = await self._read_published(work)
        page = await self._settle(page, None if altered else published)
        damaged = work.damaged
        if work.force and published is not None and not altered:
            damaged |= await asyncio.to_thread(lambda: frozenset(self._damaged(published)))
        condition = Condition(
            altered=altered,
            damaged=damaged,
            older_than=row.serial if asked.older else None,
            older_since=row.older_since,
            allow_loss=work.shrink,
            defers=work.defers,
            retains=work.retains,
        )
        if len(page.files) < _LARGE_PAGE_FILES:
            decision = _decide(page, published, work, condition)
        else:
            decision = await asyncio.to_thread(_decide, page, published, work, condition)
        outdated = decision.outdated is not None
        trusted = not (altered or work.damaged or row.lost_files or row.older_since or outdated)
        return Judged(
            work,
            page,
            published,
            decision,
            condition,
            is_new=isinstance(asked.answer, PageResponse) and not outdated,
            doubted=(asked.doubted and not outdated)
            or (trusted and _stands_still(settle_contradictions(page, published), published, row)),
        )

    def _page_digest(self, work: Work) -> str | None:
        """Return the digest of the published page's forms; None if one is missing, or damaged as a verify found it."""
        try:
            return self._view.page_digest(work.name)
        except PathError:
            if any(place.startswith(f"simple/{work.name}/") for place in work.damaged):
                return None
            raise

    async def _read_published(self, work: Work) -> PublishedPage | None:
        """Return what is published; read a large page in a thread, since parsing 50,000 files takes a second."""
        try:
            size = self._view.page_bytes(work.name) or 0
        except PathError:
            size = 0  # reading it fails, too
        if size < _MIN_THREADED_BYTES:
            return self._find_published(work)
        return await asyncio.to_thread(self._find_published, work)

    def _find_published(self, work: Work) -> PublishedPage | None:
        """Return what is published; a damaged page is replaced, and its files are hashed before they are believed."""
        try:
            return find_published(self._view, work.name)
        except PathError:
            if f"simple/{work.name}/index.v1_json" in work.damaged:
                return None
            raise

    async def _settle(self, page: Page, published: PublishedPage | None) -> Page:
        """Settle what becomes of files without a sha256, in a thread, since they may have to be hashed."""
        if not any(file.sha256 == NO_DIGEST for file in page.files):
            return page
        return await asyncio.to_thread(self._unhashed.settle, page, published)

    def _damaged(self, published: PublishedPage) -> Iterator[str]:
        """Yield what is missing of the published files, or has another size than its page says."""
        for filename, place in published.places.items():
            file, beside = published.files[filename], PackagePath(f"{place}.metadata")
            if self._view.size(place) != file.size:
                yield place
            elif file.core_metadata and self._view.size(beside) is None:
                yield beside


def _decide(page: Page, published: PublishedPage | None, work: Work, condition: Condition) -> Decision:
    return decide(page, published, work.policy, condition=condition, now=int(time.time()))


def _is_settled(work: Work, row: ProjectRow) -> bool:
    """Return whether a page that did not change leaves nothing to do."""
    if work.force or work.damaged or row.lost_files or not row.published or row.fingerprint != work.fingerprint:
        return False
    if work.offline or (row.expires_at is not None and row.expires_at <= int(time.time())):
        return False
    return row.due_at is None or (work.priority is not Priority.NAMED and row.due_at > int(time.time()))


def _stands_still(page: Page, published: PublishedPage | None, row: ProjectRow) -> bool:
    """
    Return whether a page changed while its serial did not.

    The policy may change what is published, so only upstream's own changes count: a file more, a file less, a yank.
    """
    if published is None or page.serial is None or page.serial != row.serial:
        return False
    if len(page.files) > row.file_count + row.withheld_files + row.missing_files:
        return True
    named = {(file.filename, file.sha256): file.yanked for file in page.files}
    return any(named.get((file.filename, file.sha256), not file.yanked) != file.yanked for file in published.page.files)
