"""A project: what its page says, what of that is wanted, and the publication that follows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from packaging.utils import NormalizedName

from mirror_contract import Failure, ProjectState
from mirror_syncer.errors import InvalidPage, StalePage, Unreachable, UpstreamError
from mirror_syncer.policy import Selection, Serve, Verdict, fingerprint
from mirror_syncer.priority import Priority
from mirror_syncer.publish import Publication, PublishedPage, read_published, render_page
from mirror_syncer.rows import GONE, GUARDED, NO_VALIDATORS, KeptPage, Pending, ProjectRow, Retirement, Settlement
from mirror_syncer.transfer.claims import Intend
from mirror_syncer.transfer.files import FileTransfer
from mirror_syncer.transfer.legacy import LegacyTransfer
from mirror_syncer.transfer.tally import Tally
from mirror_syncer.upstream import (
    File,
    Gone,
    Index,
    NotModified,
    Page,
    PageAnswer,
    ProjectStatus,
    Validators,
    parse_page,
)
from mirror_syncer.volume import Tree

# An edge of the CDN serves the old page for some seconds after a change: 2 + 4 + 8 s, holding no connection.
STALE_WAITS = (2.0, 4.0, 8.0)
_MANY = 1_000  # files, judged within 3 ms where their names are as they should be


@dataclass(frozen=True, slots=True)
class Work:
    """One project to look at."""

    name: NormalizedName
    priority: Priority
    row: ProjectRow | None
    selection: Selection
    serve: Serve
    grace: int
    """Seconds that a file which the page drops stays."""
    wanted: int | None = None
    """The serial that upstream's list gives it, where one was read: an older page is not its last word. 0: none."""
    force: bool = False
    """Forget validators and check that files are there."""
    shrink: bool = False
    """Let go of what upstream's page lacks, however much that is."""
    damaged: frozenset[str] = frozenset()
    """Places whose content is known to be wrong."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One project to take out of the mirror."""

    row: ProjectRow
    reason: str
    grace: int
    """Seconds that its files stay."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    publication: Publication
    failures: tuple[Failure, ...] = ()
    tally: Tally = field(default_factory=Tally)
    unreachable: bool = False
    """Upstream gave no answer at all."""
    gone: bool = False
    """Upstream has it no more, and it is published: to be withdrawn, unless the deletion guard holds that back."""
    newly: bool = True
    """It was not failing before."""

    @property
    def row(self) -> ProjectRow:
        """The project as it will stand in the catalog."""
        return self.publication.settlement.row


class Transfer:
    """Refreshes and withdraws projects, one call each."""

    def __init__(
        self,
        *,
        index: Index,
        tree: Tree,
        files: FileTransfer,
        intend: Intend,
        kept: Callable[[NormalizedName], Awaitable[KeptPage | None]],
        legacy: LegacyTransfer,
        stale_waits: tuple[float, ...] = STALE_WAITS,
    ) -> None:
        self._index = index
        self._tree = tree
        self._files = files
        self._intend = intend
        self._kept = kept
        self._legacy = legacy
        self._stale_waits = stale_waits

    async def refresh(self, work: Work) -> Outcome:
        """
        Bring a project to what upstream has.

        A page that cannot be had, or is none, leaves what is published; the outcome's row tells why. Cancellation
        leaves pending rows, and at most a lasting temporary.

        Raises:
            VolumeError: the disk says no.
        """
        row = work.row or ProjectRow(work.name)
        if row.published and not self._tree.page_state(work.name):
            # A power cut forgot the row of a page that had left. A 304 would leave it so.
            row = replace(row, validators=NO_VALIDATORS)
        try:
            answer = await self._ask(work, row)
            match answer:
                case Gone():
                    return self._gone(row, work.wanted)
                case NotModified():
                    if self._settled(work, row):
                        return _touched(row, work.wanted)
                    page, kept = await self._before(row)
                    validators = row.validators
                case PageAnswer():
                    page, validators = answer.page, answer.validators
                    kept = KeptPage(work.name, answer.url, answer.content_type, page.serial, answer.body)
            with self._index.holding(kept.url, len(kept.body)) if kept else nullcontext():
                return await self._publish(work, row, page, kept=kept, validators=validators)
        except (UpstreamError, InvalidPage) as error:
            return _failed(row, error)

    async def withdraw(self, work: Withdrawal) -> Outcome:
        """Take a project out of the mirror: its page at once, its files after the grace period."""
        row = work.row
        published = await asyncio.to_thread(self._published, row.name)
        leaving = _retire(row.name, published, staying=frozenset(), grace=work.grace)
        await self._intend(_intents(row.name, leaving))
        gone = replace(
            ProjectRow(row.name), state=ProjectState.WITHDRAWN, error=work.reason, checked_at=_now(), changed_at=_now()
        )
        return Outcome(Publication(Settlement(gone, read=True, retirements=leaving), withdrawn=True))

    async def _ask(self, work: Work, row: ProjectRow) -> PageAnswer | NotModified | Gone:
        """
        Ask for the page; one older than ours is asked for again, a little later.

        So is, once, one older than upstream's list: the first answer after a purge may still be the old one. If it
        stays so, the page is taken: an invitation moves the serial, but not the page.
        """
        validators = NO_VALIDATORS if work.force else row.validators
        for attempt, wait in enumerate((*self._stale_waits, None)):
            answer = await self._index.page(work.name, validators=validators, priority=work.priority)
            serial = answer.page.serial if isinstance(answer, PageAnswer) else None
            older = not work.force and None not in (serial, row.serial) and (serial or 0) < (row.serial or 0)
            shown = row.serial if isinstance(answer, NotModified) else serial
            if not older and (attempt or wait is None or not _lags(shown, work.wanted)):
                return answer
            if wait is None:
                raise StalePage(
                    f"upstream shows an older page, of serial {serial}; ours is of {row.serial}. "
                    "If it stays so, `sync --force` takes what upstream has"
                )
            await asyncio.sleep(wait)
        raise AssertionError

    def _settled(self, work: Work, row: ProjectRow) -> bool:
        """Return whether a page that did not change leaves nothing to do."""
        if work.force or work.damaged or row.lost_files or not row.published or row.fingerprint != _fingerprint(work):
            return False
        return row.due_at is None or (work.priority is not Priority.NAMED and row.due_at > _now())

    async def _before(self, row: ProjectRow) -> tuple[Page, KeptPage | None]:
        """Return the page that a 304 speaks of: what was kept of it, or what was published whole."""
        if kept := await self._kept(row.name):
            page = await asyncio.to_thread(  # as large as they come
                parse_page, kept.body, content_type=kept.content_type, name=kept.name, url=kept.url, serial=kept.serial
            )
            return page, kept
        if published := await asyncio.to_thread(self._published, row.name):
            return published.page, None
        raise InvalidPage("upstream says that its page did not change, and ours is lost; `sync --force` fetches it")

    async def _publish(
        self,
        work: Work,
        row: ProjectRow,
        page: Page,
        *,
        kept: KeptPage | None,
        validators: Validators,
    ) -> Outcome:
        quarantined = page.status is ProjectStatus.QUARANTINED
        published = self._published(work.name)
        lost = {} if quarantined or work.shrink else _lost(page, published, damaged=work.damaged)
        if lost:
            # As if upstream still named them, and nothing else by their names, in versions that these tell.
            others = (file for file in page.files if file.filename not in lost)
            page = replace(page, files=(*others, *lost.values()), versions=())
        # PEP 792: "quarantined" – the index MUST NOT offer any distributions
        selection = work.selection
        verdict = await _judge(selection, work.name, () if quarantined else page.files)
        if page.files and not verdict.wanted and not quarantined and selection.named:
            nothing = f"{selection.line!r} matches none of its {len(page.files)} files; look at it in mirror.toml"
            return _failed(row, UpstreamError(nothing))
        landed, tally = await self._files.bring(
            work.name,
            verdict.wanted,
            published=published,
            priority=work.priority,
            force=work.force,
            damaged=work.damaged,
        )
        # A quarantined page has nothing to offer, so nothing of it can be missing.
        refused = () if quarantined else page.refused
        failures = (*(Failure(project=work.name, file=r.filename, reason=r.reason) for r in refused), *tally.failures)
        if failures and not landed:
            # Nobody is served by an empty page: the last good one stays, and a new project waits for its first file.
            first = f"{failures[-1].file}: {failures[-1].reason}"
            failed = _failed(row, UpstreamError(f"none of its files could be had; {first}"))
            return replace(failed, failures=failures, tally=tally)
        offered = [landed[file.filename] for file in verdict.wanted if file.filename in landed]
        shrinking = sum(name in landed for name in lost)
        places = frozenset(place for _, place in offered)
        leaving = _retire(work.name, published, staying=places, grace=None if quarantined else work.grace)
        if leaving or not tally.sought:  # files that were sought have noted the page with them
            await self._intend(_intents(work.name, leaving))
        legacy = await self._legacy.bring(
            page, offered, wanted=work.serve.legacy_json, priority=work.priority, tally=tally
        )
        staged = self._tree.stage(work.name, render_page(page, offered))
        missing = len(failures)
        unfinished = missing > 0 or tally.metadata_missing > 0 or legacy.failure is not None
        serial = page.serial if page.serial is not None else work.wanted or None
        lags = _lags(serial, work.wanted)
        later = unfinished or lags or shrinking > 0
        state, error = ProjectState.CURRENT, None
        if missing:
            state, error = ProjectState.PARTIAL, _lacking(missing, failures[0])
        elif shrinking:
            state, error = ProjectState.BEHIND, _shrinking(shrinking)
        elif lags:
            state, error = ProjectState.BEHIND, _lagging(serial, work.wanted)
        new = ProjectRow(
            work.name,
            state=state,
            serial=serial,
            validators=validators,
            fingerprint=_fingerprint(work),
            file_count=len(offered),
            stored_bytes=sum(file.size or 0 for file, _ in offered),
            withheld_files=verdict.withheld,
            missing_files=missing,
            lost_files=shrinking,
            published=True,
            attempts=row.attempts + 1 if later else 0,
            due_at=row.next_due() if later else None,
            checked_at=_now(),
            changed_at=row.changed_at if staged is None else _now(),
            error=error,
        )
        before = frozenset(published.places.values()) if published else frozenset()
        settlement = Settlement(
            new,
            read=True,
            kept=kept if unfinished or shrinking or verdict.withheld or quarantined else None,
            retirements=leaving,
            returned=tuple(places - before),
            quarantined=quarantined,
        )
        told = failures if legacy.failure is None else (*failures, legacy.failure)
        return Outcome(Publication(settlement, staged, legacy=legacy.staged), told, tally)

    def _gone(self, row: ProjectRow, wanted: int | None) -> Outcome:
        if not row.published and wanted is not None:
            # The list is up to an hour old: what was deleted since is no failure.
            gone = replace(
                ProjectRow(row.name), state=ProjectState.WITHDRAWN, serial=wanted or None, error=GONE, checked_at=_now()
            )
            return Outcome(Publication(Settlement(gone, read=True)))
        if not row.published:
            state: ProjectState = row.state
            if state is ProjectState.WITHDRAWN:
                reason = "upstream has it no more; if it is not coming back, take it from mirror.toml"
            else:
                state, reason = ProjectState.FAILING, "upstream has no such project; look at its name in mirror.toml"
        else:
            # How many there are decides, in the end of the run: see the deletion guard.
            gone = replace(
                row,
                state=ProjectState.BEHIND,
                error=GUARDED,
                attempts=row.attempts + 1,
                due_at=row.next_due(),
                checked_at=_now(),
            )
            return Outcome(Publication(Settlement(gone, gone=True)), gone=True)
        gone = replace(row, state=state, error=reason, checked_at=_now())
        return Outcome(Publication(Settlement(gone)), (Failure(project=row.name, reason=reason),))

    def _published(self, name: NormalizedName) -> PublishedPage | None:
        try:
            return read_published(self._tree, name)
        except InvalidPage:
            return None  # damaged: it is written anew, and its files are hashed before they are believed


async def _judge(selection: Selection, name: NormalizedName, files: tuple[File, ...]) -> Verdict[File]:
    """Judge files; many of them in a thread, since names made to be slow take 0.2 ms each."""
    if len(files) < _MANY:
        return selection.judge(name, files)
    return await asyncio.to_thread(selection.judge, name, files)


def _lost(page: Page, published: PublishedPage | None, *, damaged: frozenset[str]) -> dict[str, File]:
    """
    Return what our page names and upstream's no longer does with that content, by file name.

    However little of each page it is, the deletion guard judges it: an index that lost its storage answers 200, with a
    page of what it has cached, with entries that lack their hashes, or with a little less in each run. Of what is
    damaged nothing is left to be kept.
    """
    if published is None:
        return {}
    named = {(file.filename, file.sha256) for file in page.files}
    return {
        name: file
        for name, file in published.files.items()
        if (name, file.sha256) not in named and published.places[name] not in damaged
    }


def _retire(
    name: NormalizedName, published: PublishedPage | None, *, staying: frozenset[str], grace: int | None
) -> tuple[Retirement, ...]:
    """Return what leaves of a published page after a grace; with none, quarantined, at once, and it may come back."""
    if published is None:
        return ()
    return tuple(
        Retirement(name, place, file.sha256, due_at=_now() + (grace or 0), withdraw=grace is None)
        for file in published.page.files
        if (place := published.places[file.filename]) not in staying
    )


def _intents(name: NormalizedName, leaving: Sequence[Retirement]) -> list[Pending]:
    """Return what a publication notes before it touches anything: its page, and the files that leave it."""
    return [Pending.page(name), *(Pending(name, r.place, r.sha256, r.withdraw) for r in leaving)]


def _touched(row: ProjectRow, wanted: int | None) -> Outcome:
    """Return the outcome of a page that did not change."""
    serial = row.serial if row.serial is not None else wanted or None
    if _lags(serial, wanted):
        behind = replace(
            row,
            state=ProjectState.PARTIAL if row.missing_files else ProjectState.BEHIND,
            checked_at=_now(),
            attempts=row.attempts + 1,
            due_at=row.next_due(),
            error=_lagging(serial, wanted),
        )
        return Outcome(Publication(Settlement(behind)))
    lacking = Failure(project=row.name, reason=_lacking(row.missing_files, None))
    touched = replace(
        row,
        state=ProjectState.PARTIAL if row.missing_files else ProjectState.CURRENT,
        serial=serial,
        checked_at=_now(),
        attempts=0 if row.due_at is None else row.attempts,
        error=row.error if row.state is ProjectState.PARTIAL else lacking.reason if row.missing_files else None,
    )
    return Outcome(Publication(Settlement(touched)), (lacking,) if row.missing_files else ())


def _failed(row: ProjectRow, error: Exception) -> Outcome:
    """Return the outcome of a project that could not be refreshed: what is published stays."""
    state = ProjectState.BEHIND if isinstance(error, StalePage) else ProjectState.FAILING
    failure = Failure(project=row.name, reason=str(error))
    # Attempts and due time may be those of missing files, which a page that fails meanwhile does not change.
    waits = row.missing_files > 0
    failed = replace(
        row,
        state=state,
        error=failure.reason,
        checked_at=_now(),
        attempts=row.attempts if waits else row.attempts + 1,
        due_at=row.due_at if waits else row.next_due(),
    )
    return Outcome(
        Publication(Settlement(failed)),
        (failure,),
        unreachable=isinstance(error, Unreachable),
        newly=row.state is not ProjectState.FAILING,
    )


def _lags(serial: int | None, wanted: int | None) -> bool:
    return serial is not None and wanted is not None and serial < wanted


def _lagging(serial: int | None, wanted: int | None) -> str:
    return f"upstream's list has it at serial {wanted}, its page at {serial}; it is asked again"


def _shrinking(lost: int) -> str:
    return f"upstream's page lacks {lost} of the files that ours names; the deletion guard keeps them"


def _lacking(missing: int, first: Failure | None) -> str:
    which = f"; {first.file}: {first.reason}" if first else ", to be tried again when their time has come"
    return f"{missing} file(s) missing{which}"


def _fingerprint(work: Work) -> str:
    return fingerprint(work.selection, serve=work.serve)


def _now() -> int:
    return int(time.time())
