"""A project's turn: what its page says, what of that is wanted, and the publication that follows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace

from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.config import SelectedFiles, Selection, is_this_format
from mirror_syncer.errors import InvalidPageError, PathError, StalePageError, UpstreamError
from mirror_syncer.model.digests import NO_DIGEST
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import File, Page, ProjectStatus
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import GONE, NO_VALIDATORS, CatalogUpdate, KeptPage, ProjectRow, Retirement
from mirror_syncer.model.serials import published_serial
from mirror_syncer.model.validators import Validators
from mirror_syncer.publish import Publication, PublishedPage, find_published, render_page
from mirror_syncer.upstream import Gone, Index, NotModified, PageResponse
from mirror_syncer.volume import PageSet, Tree
from mirror_syncer.work.transfer.claims import Intend
from mirror_syncer.work.transfer.contradictions import settle_contradictions
from mirror_syncer.work.transfer.files import FileTransfer
from mirror_syncer.work.transfer.job import Withdrawal, Work
from mirror_syncer.work.transfer.legacy_json import LegacyTransfer
from mirror_syncer.work.transfer.older import has_news, says_the_same, stands_still, stays_older, tightened
from mirror_syncer.work.transfer.outcome import (
    Outcome,
    after_alteration,
    after_failure,
    after_gone,
    after_not_modified,
    standing,
)
from mirror_syncer.work.transfer.page import STALE_WAITS, PageTransfer
from mirror_syncer.work.transfer.retirement import intents, lost_files, retire
from mirror_syncer.work.transfer.unhashed import UnhashedFiles

_MANY = 1_000  # files, judged within 3 ms where their names are as they should be


class Transfer:
    """
    Refreshes and withdraws projects, one call each.

    Args:
        claim: records in the catalog which files are about to change.
        kept: returns upstream's page as it was kept for a project, where it was.
        stale_waits: seconds before each further request for a page that is older than it should be.
    """

    def __init__(
        self,
        *,
        index: Index,
        tree: Tree,
        files: FileTransfer,
        unhashed: UnhashedFiles,
        claim: Intend,
        kept: Callable[[NormalizedName], Awaitable[KeptPage | None]],
        legacy: LegacyTransfer,
        stale_waits: tuple[float, ...] = STALE_WAITS,
    ) -> None:
        self._index = index
        self._tree = tree
        self._pages = PageTransfer(index=index, tree=tree, kept=kept, stale_waits=stale_waits)
        self._files = files
        self._unhashed = unhashed
        self._intend = claim
        self._legacy = legacy

    async def refresh(self, work: Work) -> Outcome:
        """
        Bring a project to what upstream has.

        A page that cannot be had, or is none, leaves what is published; the outcome's row tells why. Cancellation
        leaves pending rows, and at most a lasting temporary.

        Raises:
            PathError: its page or its legacy document cannot be read or written. What was brought is still noted.
            VolumeError: the disk says no.
        """
        row = work.row or ProjectRow(work.name)
        if work.unlisted:
            row = replace(row, validators=NO_VALIDATORS)  # a 304 would not say whether it is quarantined
        if not row.published:
            return await self._refresh(work, row, altered=False)
        found = self._page_digest(work)
        if found is None or found != row.page_sha256:
            # A 304 would leave it so. Without a page, a power cut forgot the row of one that had left.
            row = replace(row, validators=NO_VALIDATORS)
        if not is_this_format(row.fingerprint):
            # A 304 would only bring back what an earlier version of this program read of the page, and what it dropped.
            row = replace(row, validators=NO_VALIDATORS)
        altered = None not in (found, row.page_sha256) and found != row.page_sha256
        outcome = await self._refresh(work, row, altered=altered)
        # A verify that repairs has told of it already.
        return after_alteration(outcome) if altered and not work.damaged else outcome

    async def _refresh(self, work: Work, row: ProjectRow, *, altered: bool) -> Outcome:
        try:
            asked = await self._pages.ask(work, row)
            if work.unlisted and not _is_quarantined(asked.answer):
                return await self.withdraw(Withdrawal(row, GONE, work.grace))
            match answer := asked.answer:
                case Gone(index_missing):
                    return after_gone(work, row, index_missing=index_missing)
                case NotModified():
                    if _settled(work, row):
                        return after_not_modified(work, row)
                    page, kept = await self._pages.unchanged(work.name)
                    # As it was said then: the published page's may be our own.
                    page, validators = replace(page, serial=row.serial), row.validators
                case PageResponse():
                    page, validators = answer.page, answer.validators
                    kept = KeptPage(work.name, answer.url, answer.content_type, page.serial, answer.body)
            with self._index.hold_page(kept.url, len(kept.body)) if kept else nullcontext():
                if asked.older and not altered and (stale := await self._older(work, row, page)) is not None:
                    return stale
                outcome = await self._publish(
                    work, row, page, kept=kept, validators=validators, doubted=asked.doubted, altered=altered
                )
                moved = page.serial != row.serial if page.serial is not None else bool(outcome.publication.staged)
                return replace(outcome, news=isinstance(answer, PageResponse) and moved)
        except (UpstreamError, InvalidPageError) as error:
            return after_failure(row, error)

    async def _older(self, work: Work, row: ProjectRow, page: Page) -> Outcome | None:
        """Publish what a page restricts that seems older than the last one; None where it is to be taken whole."""
        published = await asyncio.to_thread(find_published, self._tree, work.name)
        if published is None or stays_older(row):
            return None
        page = settle_contradictions(page, published)
        verdict = await _judge(work.selection, work.name, page.files)
        if has_news(verdict, published) or says_the_same(page, verdict, published):
            return None
        since = row.older_since if row.older_since is not None else int(time.time())
        shown = "a page without a serial, which may be older" if page.serial is None else "an older page"
        theirs = "" if page.serial is None else f", of serial {page.serial}"
        stale = StalePageError(
            f"upstream shows {shown}{theirs}; ours is of serial {row.serial}. What it restricts holds; "
            "the rest is taken if it stays so for a day, or by `sync --force`"
        )
        failed = after_failure(replace(row, older_since=since), stale)
        restricted = tightened(page, published)
        if restricted is None:
            return failed
        restricted = replace(restricted, serial=None)
        outcome = await self._publish(work, row, restricted, kept=None, validators=NO_VALIDATORS)
        catalog_update = outcome.publication.catalog_update
        if not catalog_update.read:
            return outcome
        # Upstream's newer page, once it is shown again, is compared with this one.
        settled = replace(
            catalog_update.row,
            state=failed.row.state,
            serial=row.serial,
            own_serial=catalog_update.row.published_serial,
            error=failed.row.error,
            older_since=since,
            attempts=failed.row.attempts,
            due_at=failed.row.due_at,
        )
        publication = replace(outcome.publication, catalog_update=replace(catalog_update, row=settled, kept=None))
        # A page that is asked for again to let it shrink was told of before.
        told = () if work.shrink else failed.failures
        return replace(outcome, publication=publication, failures=(*outcome.failures, *told))

    async def withdraw(self, work: Withdrawal) -> Outcome:
        """
        Take a project out of the mirror: its page at once, its files after the grace period.

        Both only when the publication's group is committed; cancellation leaves pending rows.

        Raises:
            PathError: its page cannot be read: what it names is not known.
            VolumeError: the disk says no.
        """
        row = work.row
        published = await asyncio.to_thread(find_published, self._tree, row.name)
        leaving = retire(row.name, published, staying=frozenset(), grace=work.grace)
        await self._intend(intents(row.name, leaving))
        now = int(time.time())
        gone = ProjectRow(row.name, state=ProjectState.WITHDRAWN, error=work.reason, checked_at=now, changed_at=now)
        return Outcome(Publication(CatalogUpdate(gone, read=True, retirements=leaving), withdrawn=True))

    def _page_digest(self, work: Work) -> str | None:
        """
        Return the digest of the published page's forms; None where one is missing, or damaged as a verify found it.

        Raises:
            PathError: one cannot be read, and no verify has found it damaged.
        """
        try:
            return self._tree.page_digest(work.name)
        except PathError:
            if any(place.startswith(f"simple/{work.name}/") for place in work.damaged):
                return None
            raise

    def _find_published(self, work: Work) -> PublishedPage | None:
        """
        Return what is published; a damaged page is written anew, and its files are hashed before they are believed.

        Raises:
            PathError: the page cannot be read, and no verify has found it damaged. What it names is not known then, and
                without that neither what it lost can be judged nor what it drops retire.
        """
        try:
            return find_published(self._tree, work.name)
        except PathError:
            if f"simple/{work.name}/index.v1_json" in work.damaged:
                return None
            raise

    async def _publish(
        self,
        work: Work,
        row: ProjectRow,
        page: Page,
        *,
        kept: KeptPage | None,
        validators: Validators,
        doubted: bool = False,
        altered: bool = False,
    ) -> Outcome:
        """
        Bring what is wanted of a page, then stage the page that names it; what is touched is noted before.

        Args:
            altered: the page on disk is not ours, so nothing that it says of files is believed.
        """
        quarantined = page.status is ProjectStatus.QUARANTINED
        published = self._find_published(work)
        page = await self._settle(page, None if altered else published)
        page = settle_contradictions(page, None if altered else published)
        damaged = work.damaged
        if altered and published:
            damaged |= {published.places[name] for name in lost_files(page, published, damaged=frozenset())}
        lost = {} if quarantined or work.shrink or altered else lost_files(page, published, damaged=damaged)
        trusted = not (altered or work.damaged or row.lost_files or row.older_since)
        still = trusted and stands_still(page, published, row)
        if lost:
            # As if upstream still named them, and nothing else by their names, in versions that these tell.
            others = (file for file in page.files if file.filename not in lost)
            page = replace(page, files=(*others, *lost.values()), versions=())
        # PEP 792: "quarantined" – the index MUST NOT offer any distributions
        selection = work.selection
        verdict = await _judge(selection, work.name, () if quarantined else page.files)
        if page.files and not verdict.wanted and not quarantined and selection.named:
            nothing = f"{selection.line!r} matches none of its {len(page.files)} files; look at it in mirror.toml"
            return after_failure(row, UpstreamError(nothing))
        idle = () if quarantined else _idle_lines(selection, work.name, page.files)
        landed, tally = await self._files.bring(
            work.name,
            verdict.wanted,
            published=None if altered else published,
            priority=work.priority,
            force=work.force,
            damaged=damaged,
            disputed=work.disputed,
        )
        tally.times_dropped = page.dropped_upload_times
        # A quarantined page has nothing to offer, so nothing of it can be missing.
        refused = () if quarantined else page.refused
        failures = (*(Failure(project=work.name, file=r.filename, reason=r.reason) for r in refused), *tally.failures)
        if failures and not landed:
            # Nobody is served by an empty page: the last good one stays, and a new project waits for its first file.
            first = f"{failures[-1].file}: {failures[-1].reason}"
            failed = after_failure(row, UpstreamError(f"none of its files could be had; {first}"))
            return replace(failed, failures=failures, tally=tally)
        offered = [landed[file.filename] for file in verdict.wanted if file.filename in landed]
        shrinking = sum(name in landed for name in lost)
        places = frozenset(place for _, place in offered)
        aside = quarantined or altered
        leaving = retire(work.name, published, staying=places, grace=None if aside else work.grace)
        if altered:
            leaving = await asyncio.to_thread(self._lying_there, leaving)
        if leaving or not tally.files_needed:  # needed files have claimed the page with them
            taken = await self._intend(intents(work.name, leaving))
            leaving = tuple(file for file in leaving if not (altered and file.place in taken))
        ours, rendered = self._render(
            work,
            row,
            page,
            offered,
            complete=not (failures or shrinking),
            published=None if altered else published,
        )
        legacy = await self._legacy.bring(
            page, offered, serial=ours, wanted=work.serve.legacy_json, priority=work.priority, tally=tally
        )
        staged = self._tree.stage(work.name, rendered)
        missing = len(failures)
        unfinished = missing > 0 or tally.metadata_missing > 0 or legacy.failure is not None or len(idle) > 0
        later = unfinished or shrinking > 0 or work.outdates(page.serial)
        state, error = standing(work, serial=page.serial, missing=failures, lost=shrinking)
        now = int(time.time())
        new = ProjectRow(
            work.name,
            state=state,
            serial=page.serial,
            own_serial=None if ours == page.serial else ours,
            seen_serial=work.seen_serial,
            doubted=doubted or still or (row.doubted and page.serial == row.serial),
            quarantined=quarantined,
            validators=validators,
            fingerprint=work.fingerprint,
            file_count=len(offered),
            stored_bytes=sum(file.size or 0 for file, _ in offered),
            withheld_files=verdict.withheld,
            missing_files=missing,
            lost_files=shrinking,
            published=True,
            attempts=row.attempts + 1 if later else 0,
            due_at=row.next_retry_at() if later else None,
            checked_at=now,
            changed_at=row.changed_at if staged is None else now,
            error=error,
            page_sha256=rendered.digest,
        )
        before = frozenset(published.places.values()) if published and not altered else frozenset()
        catalog_update = CatalogUpdate(
            new,
            read=True,
            kept=kept if unfinished or shrinking or verdict.withheld or quarantined else None,
            retirements=leaving,
            returned=tuple(places - before),
            quarantined=quarantined,
        )
        told = (*failures, *idle, *tally.broken_promises)
        told = told if legacy.failure is None else (*told, legacy.failure)
        return Outcome(Publication(catalog_update, staged, legacy=legacy.staged), told, tally)

    async def _settle(self, page: Page, published: PublishedPage | None) -> Page:
        """Settle what becomes of files without a sha256, in a thread where the disk may be asked for them."""
        if not any(file.sha256 == NO_DIGEST for file in page.files):
            return page
        return await asyncio.to_thread(self._unhashed.settle, page, published)

    def _lying_there(self, leaving: Iterable[Retirement]) -> tuple[Retirement, ...]:
        """Return those that hold what they are said to: a page that was altered may name anybody's place."""
        return tuple(file for file in leaving if self._tree.digest(file.place) == file.sha256)

    def _render(
        self,
        work: Work,
        row: ProjectRow,
        page: Page,
        offered: list[tuple[File, PackagePath]],
        *,
        complete: bool,
        published: PublishedPage | None,
    ) -> tuple[int | None, PageSet]:
        """Return the serial to publish, which moves where the content does, and the page with it."""
        said = page.serial if page.serial is not None else work.bounds.trusted(work.wanted_serial or None)
        if said and not complete:
            said -= 1  # not yet all that it says: the rest moves the serial once more, for mirrors of this mirror
        last = row.published_serial
        ours = published_serial(said, last, changed=False, bounds=work.bounds)
        pages = render_page(replace(page, serial=ours), offered)
        if ours == last and ours is not None and published is not None and not work.damaged:
            changed = self._tree.page(work.name) != pages.json
            if changed and (moved := published_serial(said, last, changed=True, bounds=work.bounds)) != ours:
                return moved, render_page(replace(page, serial=moved), offered)
        return ours, pages


def _is_quarantined(answer: PageResponse | NotModified | Gone) -> bool:
    return isinstance(answer, PageResponse) and answer.page.status is ProjectStatus.QUARANTINED


def _settled(work: Work, row: ProjectRow) -> bool:
    """Return whether a page that did not change leaves nothing to do."""
    if work.force or work.damaged or row.lost_files or not row.published or row.fingerprint != work.fingerprint:
        return False
    return row.due_at is None or (work.priority is not Priority.NAMED and row.due_at > int(time.time()))


def _idle_lines(selection: Selection, name: NormalizedName, files: tuple[File, ...]) -> tuple[Failure, ...]:
    """Return what a person is told of a project's lines that match nothing, where another of its lines does."""
    return tuple(
        Failure(project=name, reason=f"'{name}{specifier}' matches none of its releases; look at it in mirror.toml")
        for specifier in selection.idle(name, files)
    )


async def _judge(selection: Selection, name: NormalizedName, files: tuple[File, ...]) -> SelectedFiles[File]:
    """Judge files; many of them in a thread, since names made to be slow take 0.2 ms each."""
    if len(files) < _MANY:
        return selection.judge(name, files)
    return await asyncio.to_thread(selection.judge, name, files)
