"""The transfer of a project: what was decided about its files is carried out, and staged for publication."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.config import blocked_hashes
from mirror_syncer.errors import InvalidPageError, StalePageError, UpstreamError
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.page import File, HeldFile, Page, ProjectStatus, PublishedPage, names
from mirror_syncer.model.project import GONE, NO_VALIDATORS, CatalogUpdate, KeptPage, ProjectRow, Retirement
from mirror_syncer.model.serials import published_serial
from mirror_syncer.model.tally import Tally
from mirror_syncer.publish import Publication, find_published, newest_version, render_page
from mirror_syncer.upstream import Gone, Index, NotModified
from mirror_syncer.volume import AnyTree, PageSet
from mirror_syncer.work.transfer.claims import Claim
from mirror_syncer.work.transfer.evidence import EvidenceReader, Judged
from mirror_syncer.work.transfer.failures import incidents, invalid_entries
from mirror_syncer.work.transfer.files import FileTransfer
from mirror_syncer.work.transfer.holding import Holding
from mirror_syncer.work.transfer.job import Withdrawal, Work
from mirror_syncer.work.transfer.legacy_json import LegacyTransfer
from mirror_syncer.work.transfer.outcome import (
    Outcome,
    after_alteration,
    after_failure,
    after_gone,
    after_not_modified,
    after_older_page,
    after_waiting,
    standing,
)
from mirror_syncer.work.transfer.page import STALE_WAITS
from mirror_syncer.work.transfer.retirement import intents, retire
from mirror_syncer.work.transfer.unhashed import UnhashedFiles


class Transfer:
    """
    Refreshes and withdraws projects, one call each.

    Args:
        claim: notes in the catalog what is about to be changed.
        kept: returns upstream's page as it was kept for a project, if it was.
        stale_waits: seconds before each further request for a page that is older than it should be.
    """

    def __init__(
        self,
        *,
        index: Index,
        tree: AnyTree,
        files: FileTransfer,
        unhashed: UnhashedFiles,
        claim: Claim,
        kept: Callable[[NormalizedName], Awaitable[KeptPage | None]],
        legacy: LegacyTransfer,
        stale_waits: tuple[float, ...] = STALE_WAITS,
    ) -> None:
        self._judge = EvidenceReader(index=index, view=tree, unhashed=unhashed, kept=kept, stale_waits=stale_waits)
        self._tree = tree
        self._files = files
        self._claim = claim
        self._holding = Holding(tree=tree, claim=claim)
        self._legacy = legacy

    async def refresh(self, work: Work) -> Outcome:
        """
        Bring a project to what upstream has.

        If its page cannot be fetched or read, what is published stays, and the outcome's row says why. Cancellation
        leaves pending rows, and at most a temporary that lasts.

        Raises:
            PathError: its page or its legacy document cannot be read or written. What was fetched is still noted.
            VolumeError: the disk refuses.
        """
        row = work.row or ProjectRow(work.name)
        on_disk = await self._tree.call(self._judge.look_at_disk, work, row)
        try:
            async with self._judge.judge(work, row, on_disk) as judged:
                outcome = await self._carry_out(work, row, judged)
        except (UpstreamError, InvalidPageError) as error:
            outcome = replace(after_failure(row, error), page_failed=not work.offline)
        # A verify that repairs has reported it already.
        return after_alteration(outcome) if on_disk.altered and not work.damaged else outcome

    async def _carry_out(self, work: Work, row: ProjectRow, judged: Judged | Gone | NotModified) -> Outcome:
        match judged:
            case Gone() if work.unlisted:
                return await self.withdraw(Withdrawal(row, GONE, work.grace))
            case Gone(index_missing):
                return after_gone(work, row, index_missing=index_missing)
            case NotModified():
                return after_not_modified(work, row)
        return await self._apply(work, row, judged)

    async def _apply(self, work: Work, row: ProjectRow, judged: Judged) -> Outcome:
        """Carry out a decision."""
        decision = judged.decision
        if decision.outdated is not None:
            return await self._restrict(work, row, judged, why=decision.outdated)
        if decision.problem is not None:
            expiring = replace(row, expires_at=decision.expires_at)
            failed, refusals = after_failure(expiring, UpstreamError(decision.problem)), invalid_entries(decision)
            return replace(failed, failures=(*failed.failures, *refusals), tally=Tally(failures=[*refusals]))
        if decision.waits and not decision.served and judged.published is None:
            return after_waiting(work, row, decision.page, validators=judged.validators, kept=judged.kept)
        return await self._publish(work, row, judged)

    async def _restrict(self, work: Work, row: ProjectRow, judged: Judged, *, why: str) -> Outcome:
        """Publish what a page restricts that is older than the last one, if it restricts anything."""
        since = row.older_since if row.older_since is not None else int(time.time())
        failed = after_failure(replace(row, older_since=since), StalePageError(why))
        if judged.decision.problem is not None:
            return failed
        return after_older_page(work, row, failed, await self._publish(work, row, judged))

    async def withdraw(self, work: Withdrawal) -> Outcome:
        """
        Remove a project from the mirror: its page at once, its files after the grace period.

        Both happen only when the publication's group is committed; cancellation leaves pending rows.

        Raises:
            PathError: its page cannot be read, so what it names is unknown.
            VolumeError: the disk refuses.
        """
        row = work.row
        published = await asyncio.to_thread(find_published, self._tree, row.name)
        if published is not None and work.grace is None:
            await self._holding.block(published, reason=work.reason)
        else:
            await self._holding.release(published, (), ())
        leaving = retire(row.name, published, staying=frozenset(), grace=work.grace)
        await self._claim(intents(row.name, leaving))
        now = int(time.time())
        gone = ProjectRow(row.name, state=ProjectState.WITHDRAWN, error=work.reason, checked_at=now, changed_at=now)
        return Outcome(Publication(CatalogUpdate(gone, read=True, retirements=leaving), withdrawn=True))

    async def _publish(self, work: Work, row: ProjectRow, judged: Judged) -> Outcome:
        """Download what is missing, then stage the page; the catalog notes what is changed before it changes."""
        decision, condition, page = judged.decision, judged.condition, judged.decision.page
        # Nothing that a page which another program changed says about files is believed.
        believed = None if condition.altered else judged.published
        damaged = condition.damaged
        if condition.altered and judged.published:
            damaged |= {judged.published.places[file.filename] for file, _ in decision.leaving}
        # What is held or blocked leaves at once; what takes its place may come later.
        urgent = _takes_away(decision, believed)
        landed, tally = await self._files.bring(
            decision,
            published=believed,
            priority=work.priority,
            damaged=damaged,
            disputed=work.disputed,
            urgent=urgent,
            blocked=work.policy.rules.hashes | blocked_hashes(work.policy.blocks),
        )
        tally.times_dropped = page.dropped_upload_times
        refusals = invalid_entries(decision)
        tally.failures[:0] = refusals
        failures = tuple(tally.failures)
        if failures and not landed and not (decision.hold or urgent):
            # An empty page serves nobody: the last good one stays, and a new project waits for its first file.
            first = f"{failures[-1].file}: {failures[-1].reason}"
            failed = after_failure(row, UpstreamError(f"none of its files could be downloaded; {first}"))
            return replace(failed, failures=failures, tally=tally, news=_is_news(judged, row, changed=False))
        offered = [landed[file.filename] for file in decision.served if file.filename in landed]
        held = await self._hold(judged, offered)
        leaving = await self._retire(work, judged, offered, noted=tally.files_needed > 0)
        missing = len(decision.keep) + len(decision.lost) - len(offered) + len(decision.refused)
        complete = not (missing or decision.lost)
        ours, rendered = await self._render(work, row, page, offered, held, complete=complete, published=believed)
        legacy = await self._legacy.bring(
            page, offered, serial=ours, wanted=work.serve.legacy_json, priority=work.priority, tally=tally
        )
        staged = await self._tree.call(self._tree.stage, work.name, rendered)
        unfinished = missing > 0 or tally.metadata_missing > 0 or legacy.failure is not None or bool(decision.warnings)
        later = unfinished or bool(decision.lost) or work.outdates(page.serial)
        state, error = standing(work, row, decision, missing=missing, first=failures)
        now = int(time.time())
        quarantined = page.status is ProjectStatus.QUARANTINED
        keeps = unfinished or decision.lost or decision.left_out or quarantined
        # Our page stood for upstream's, which is not kept, and now lacks a part: upstream's is requested once, in full.
        forgets = bool(keeps) and judged.kept is None
        due_before = row.due_at if work.offline and not row.is_only_read else None
        new = ProjectRow(
            work.name,
            state=state,
            serial=page.serial,
            own_serial=None if ours == page.serial else ours,
            seen_serial=work.seen_serial,
            doubted=judged.doubted or (row.doubted and page.serial == row.serial),
            quarantined=quarantined,
            validators=NO_VALIDATORS if forgets else judged.validators,
            # Another one, so that the page is judged again.
            fingerprint=f"{work.fingerprint}+" if decision.is_provisional else work.fingerprint,
            file_count=len(offered),
            stored_bytes=sum(file.size or 0 for file, _ in offered),
            withheld_files=decision.left_out,
            held_files=len(decision.hold),
            blocked_files=len(decision.blocked),
            expires_at=decision.expires_at,
            missing_files=missing,
            lost_files=len(decision.lost),
            published=True,
            attempts=row.attempts + 1 if later else row.attempts if work.offline or decision.is_provisional else 0,
            due_at=row.next_retry_at() if later else now if forgets else due_before,
            # Upstream was not looked at.
            checked_at=row.checked_at if work.offline else now,
            older_since=row.older_since if work.offline else None,
            changed_at=row.changed_at if staged is None else now,
            error=error,
            page_sha256=rendered.digest,
            newest_version=newest_version(work.name, (file for file, _ in offered)),
        )
        before = frozenset(believed.places.values()) if believed else frozenset()
        update = CatalogUpdate(
            new,
            read=True,
            kept=judged.kept if keeps else None,
            retirements=leaving,
            returned=tuple({place for _, place in offered} - before),
            quarantined=quarantined,
        )
        warnings = (Failure(project=work.name, reason=warning) for warning in decision.warnings)
        reported = (
            *failures,
            *warnings,
            *tally.broken_promises,
            *((legacy.failure,) if legacy.failure else ()),
            *incidents(work, decision, believed),
        )
        news = _is_news(judged, row, changed=staged is not None)
        return Outcome(Publication(update, staged, legacy=legacy.staged), reported, tally, news=news)

    async def _hold(self, judged: Judged, offered: Sequence[tuple[File, PackagePath]]) -> tuple[HeldFile, ...]:
        """Write the markers of held and blocked files, remove others; return these files as the page names them."""
        believed = None if judged.condition.altered else judged.published
        held = await self._holding.hold(judged.decision, believed)
        stands_in = judged.kept is None and not judged.is_new  # our own page, for upstream's
        if believed and (judged.decision.outdated is not None or stands_in):
            # An older page does not say that anything else is no longer held, nor does ours, which lacks it.
            decided = {file.filename for file in (*judged.decision.served, *judged.decision.withheld)}
            held += tuple(one for one in believed.held if one.filename not in decided)
        await self._holding.release(believed, held, judged.page.files)
        before = frozenset(believed.places.values()) if believed else frozenset()
        await self._holding.release_places(one for one in offered if one[1] not in before)
        return held

    async def _retire(
        self, work: Work, judged: Judged, offered: Sequence[tuple[File, PackagePath]], *, noted: bool
    ) -> tuple[Retirement, ...]:
        """
        Return the files that leave the page, after they are noted in the catalog.

        Args:
            noted: the page itself is noted already, with the files that were downloaded.
        """
        altered = judged.condition.altered
        aside = altered or judged.decision.page.status is ProjectStatus.QUARANTINED
        places = frozenset(place for _, place in offered)
        leaving = retire(
            work.name,
            judged.published,
            staying=places,
            grace=None if aside else work.grace,
            at_once={file.filename for file in judged.decision.withheld},
        )
        if altered:
            leaving = await asyncio.to_thread(self._really_there, leaving)
        if leaving or not noted:
            taken = await self._claim(intents(work.name, leaving))
            leaving = tuple(file for file in leaving if not (altered and file.place in taken))
        return leaving

    def _really_there(self, leaving: Sequence[Retirement]) -> tuple[Retirement, ...]:
        """Return those whose content is what the page says: a page that was altered may name any project's place."""
        return tuple(file for file in leaving if self._tree.digest(file.place) == file.sha256)

    async def _render(
        self,
        work: Work,
        row: ProjectRow,
        page: Page,
        offered: Sequence[tuple[File, PackagePath]],
        held: Sequence[HeldFile],
        *,
        complete: bool,
        published: PublishedPage | None,
    ) -> tuple[int | None, PageSet]:
        """Return the serial to publish, which moves whenever the content does, and the page with it."""
        said = page.serial if page.serial is not None else work.bounds.trusted(work.wanted_serial or None)
        if said and not complete:
            said -= 1  # not yet all that it stands for: the rest moves the serial once more, for mirrors of this mirror
        last = row.published_serial
        ours = published_serial(said, last, changed=False, bounds=work.bounds)
        pages = render_page(replace(page, serial=ours), offered, held)
        if ours == last and ours is not None and published is not None and not work.damaged:
            changed = await self._tree.call(self._tree.page, work.name) != pages.json
            if changed and (moved := published_serial(said, last, changed=True, bounds=work.bounds)) != ours:
                return moved, render_page(replace(page, serial=moved), offered, held)
        return ours, pages


def _is_news(judged: Judged, row: ProjectRow, *, changed: bool) -> bool:
    """Return whether upstream had news: its serial moved or, if it has none, our page is another one."""
    serial = judged.decision.page.serial
    return judged.is_new and (changed if serial is None else serial != row.serial)


def _takes_away(decision: Decision, published: PublishedPage | None) -> bool:
    """Return whether a published file is held or blocked from now on."""
    return published is not None and any(names(published.files, file) for file in decision.withheld)
