"""The outcome of a project's transfer: its next state in the catalog, and the reasons that are reported."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mirror_contract import Failure, ProjectState
from mirror_syncer.config import format_moment
from mirror_syncer.errors import StalePageError, UnreachableError
from mirror_syncer.model.decision import Decision
from mirror_syncer.model.page import Page
from mirror_syncer.model.project import EMPTIED, GONE, GUARDED, UNRESOLVED, CatalogUpdate, KeptPage, ProjectRow
from mirror_syncer.model.tally import Tally
from mirror_syncer.model.validators import Validators
from mirror_syncer.publish import Publication
from mirror_syncer.work.transfer.job import Work

ALTERED = (
    "another program changed its page on disk; it is replaced by upstream's page. Find out what else writes to "
    "MIRROR_DATA"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A publication, and what a run needs to know about it."""

    publication: Publication
    failures: tuple[Failure, ...] = ()
    """What is reported, for a project or a file each."""
    tally: Tally = field(default_factory=Tally)
    unreachable: bool = False
    """Upstream did not answer."""
    page_failed: bool = False
    """Upstream was asked for the page, and did not deliver it."""
    gone: bool = False
    """Upstream no longer has the project, and it is published: the deletion guard decides whether it is withdrawn."""
    newly: bool = True
    """The project was not failing before."""
    altered: bool = False
    """The page on disk was not the one that was published last."""
    news: bool = False
    """Upstream had news."""

    @property
    def row(self) -> ProjectRow:
        """The project's next row in the catalog."""
        return self.publication.catalog_update.row


def after_not_modified(work: Work, row: ProjectRow) -> Outcome:
    """Return the outcome of a page that did not change, with nothing to do."""
    if work.outdates(row.serial):
        behind = replace(
            row,
            state=ProjectState.PARTIAL if row.missing_files else ProjectState.BEHIND,
            seen_serial=work.seen_serial,
            older_since=None,
            checked_at=int(time.time()),
            attempts=row.attempts + 1,
            due_at=row.next_retry_at(),
            error=_lagging(row.serial, work.wanted_serial),
        )
        return Outcome(Publication(CatalogUpdate(behind)))
    lacking = Failure(project=row.name, reason=_lacking(row.missing_files, None))
    waits = row.state is ProjectState.WAITING and not row.missing_files
    touched = replace(
        row,
        state=ProjectState.PARTIAL if row.missing_files else ProjectState.WAITING if waits else ProjectState.CURRENT,
        seen_serial=work.seen_serial,
        older_since=None,
        checked_at=int(time.time()),
        attempts=0 if row.due_at is None else row.attempts,
        error=row.error
        if waits or row.state is ProjectState.PARTIAL
        else lacking.reason
        if row.missing_files
        else None,
    )
    return Outcome(Publication(CatalogUpdate(touched)), (lacking,) if row.missing_files else ())


def after_waiting(work: Work, row: ProjectRow, page: Page, *, validators: Validators, kept: KeptPage | None) -> Outcome:
    """Return the outcome of a new project: its page is kept, and published once what it requires is."""
    waiting = replace(
        row,
        state=ProjectState.BEHIND,
        serial=page.serial,
        seen_serial=work.seen_serial,
        quarantined=False,
        validators=validators,
        checked_at=row.checked_at if work.offline else int(time.time()),
        error=UNRESOLVED,
    )
    return Outcome(Publication(CatalogUpdate(waiting, read=True, kept=kept)))


def after_gone(work: Work, row: ProjectRow, *, index_missing: str | None = None) -> Outcome:
    """
    Return the outcome of a project that upstream does not have.

    Args:
        index_missing: the reason instead, if upstream has no index at all.
    """
    now = int(time.time())
    if row.published:
        # The deletion guard decides at the end of the run, by the number of such projects.
        guarded = replace(
            row,
            state=ProjectState.BEHIND,
            error=GUARDED,
            attempts=row.attempts + 1,
            due_at=row.next_retry_at(),
            checked_at=now,
        )
        return Outcome(Publication(CatalogUpdate(guarded, gone=True)), gone=True)
    if work.wanted_serial is not None:
        # The list is up to an hour old: a project that was deleted since then is no failure.
        withdrawn = ProjectRow(
            row.name,
            state=ProjectState.WITHDRAWN,
            serial=work.wanted_serial or None,
            seen_serial=work.seen_serial,
            error=GONE,
            checked_at=now,
        )
        return Outcome(Publication(CatalogUpdate(withdrawn)))
    state = row.state if row.state is ProjectState.WITHDRAWN else ProjectState.FAILING
    reason = absence(row, index_missing, place=work.policy.selection.place)
    failed = replace(row, state=state, error=reason, checked_at=now)
    return Outcome(
        Publication(CatalogUpdate(failed)),
        (Failure(project=row.name, reason=reason),),
        page_failed=index_missing is not None,
    )


def absence(row: ProjectRow, index_missing: str | None, *, place: str) -> str:
    """
    Return why a project is failing that upstream does not have, and that is not published.

    Args:
        index_missing: the reason instead, if upstream has no index at all.
        place: where its line stands, see ``Selection.place``.
    """
    if index_missing is not None:
        return index_missing
    if row.state is ProjectState.WITHDRAWN:
        return f"upstream no longer has it; if it is not coming back, remove it from {place}"
    return f"upstream has no such project; look at its name in {place}"


def after_failure(row: ProjectRow, error: Exception) -> Outcome:
    """Return the outcome of a project that could not be refreshed; what is published stays."""
    state = ProjectState.BEHIND if isinstance(error, StalePageError) else ProjectState.FAILING
    failure = Failure(project=row.name, reason=str(error))
    # Attempts and due time may belong to missing files; a page that fails meanwhile does not change them.
    waits = row.missing_files > 0
    failed = replace(
        row,
        state=state,
        error=failure.reason,
        checked_at=int(time.time()),
        attempts=row.attempts if waits else row.attempts + 1,
        due_at=row.due_at if waits else row.next_retry_at(),
    )
    return Outcome(
        Publication(CatalogUpdate(failed)),
        (failure,),
        unreachable=isinstance(error, UnreachableError),
        newly=row.state is not ProjectState.FAILING,
    )


def after_alteration(outcome: Outcome) -> Outcome:
    """Return the outcome of a project whose page another program changed: it raises an alarm in any case."""
    failure = Failure(project=outcome.row.name, reason=ALTERED)
    return replace(outcome, failures=(failure, *outcome.failures), altered=True)


def after_older_page(work: Work, row: ProjectRow, failed: Outcome, restricted: Outcome) -> Outcome:
    """
    Return the outcome of a page that is older than the last one, and of which only the restrictions were published.

    Args:
        failed: the outcome of the page alone.
        restricted: the outcome of the publication.
    """
    settlement = restricted.publication.catalog_update
    if not settlement.read:
        return restricted
    # Upstream's newer page, once it is shown again, is compared with this one.
    settled = replace(
        settlement.row,
        state=failed.row.state,
        serial=row.serial,
        own_serial=settlement.row.published_serial,
        error=failed.row.error,
        older_since=failed.row.older_since,
        attempts=failed.row.attempts,
        due_at=failed.row.due_at,
    )
    publication = replace(restricted.publication, catalog_update=replace(settlement, row=settled, kept=None))
    # What shrinks was reported when it was refreshed.
    failures = () if work.shrink else failed.failures
    return replace(restricted, publication=publication, failures=(*restricted.failures, *failures))


def standing(
    work: Work, row: ProjectRow, decision: Decision, *, missing: int, first: Sequence[Failure]
) -> tuple[ProjectState, str | None]:
    """
    Return in which state a page leaves its project, and why it is not current.

    Args:
        missing: how many files could not be had.
        first: their failures, as far as they are reported now.
    """
    if missing:
        return ProjectState.PARTIAL, _lacking(missing, first[0] if first else None)
    if decision.lost:
        return ProjectState.BEHIND, EMPTIED if decision.emptied else _shrinking(decision)
    if work.outdates(serial := decision.page.serial):
        return ProjectState.BEHIND, _lagging(serial, work.wanted_serial)
    unresolved = row.state in (ProjectState.BEHIND, ProjectState.FAILING) and row.error != EMPTIED
    if work.offline and unresolved and not row.is_only_read:
        return row.state, row.error  # upstream was not looked at
    if not decision.served and (decision.hold or decision.blocked):
        return ProjectState.WAITING, _waiting(decision)
    return ProjectState.CURRENT, None


def _shrinking(decision: Decision) -> str:
    return f"upstream's page lacks {len(decision.lost)} of the files that ours names; the deletion guard keeps them"


def _waiting(decision: Decision) -> str:
    held, blocked = len(decision.hold), len(decision.blocked)
    if not held:
        return f"all its files are blocked; {decision.blocked[-1][1]}"
    times = [hold.until for hold in decision.hold if hold.until is not None]
    first = f"; the first is published at {format_moment(min(times))}" if times else ""
    return f"all its files wait{' or are blocked' if blocked else ''}{first}"


def _lagging(serial: int | None, wanted: int | None) -> str:
    return f"upstream's list has serial {wanted}, its page {serial}; retrying"


def _lacking(missing: int, first: Failure | None) -> str:
    which = f"; {first.file}: {first.reason}" if first else "; retrying later"
    return f"{missing} file(s) missing{which}"
