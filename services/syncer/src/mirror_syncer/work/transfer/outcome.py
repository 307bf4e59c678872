"""What came of a project's turn: how it will stand in the catalog, and in which words a person is told why."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mirror_contract import Failure, ProjectState
from mirror_syncer.errors import StalePageError, UnreachableError
from mirror_syncer.model.project import GONE, GUARDED, CatalogUpdate, ProjectRow
from mirror_syncer.model.tally import Tally
from mirror_syncer.publish import Publication
from mirror_syncer.work.transfer.job import Work

ALTERED = (
    "its page on disk was changed, and not by this mirror; upstream's page replaces it: find out who else can write to "
    "MIRROR_DATA"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A publication, and what a run wants to know of it."""

    publication: Publication
    failures: tuple[Failure, ...] = ()
    """What a person is told, a project's or a file's each."""
    tally: Tally = field(default_factory=Tally)
    unreachable: bool = False
    """Upstream gave no answer at all."""
    gone: bool = False
    """Upstream has it no more, and it is published: to be withdrawn, unless the deletion guard holds that back."""
    newly: bool = True
    """It was not failing before."""
    altered: bool = False
    """The page on disk was not the one that was published last."""
    news: bool = False
    """Upstream said something that it had not said before."""

    @property
    def row(self) -> ProjectRow:
        """The project as it will stand in the catalog."""
        return self.publication.catalog_update.row


def after_not_modified(work: Work, row: ProjectRow) -> Outcome:
    """Return the outcome of a page that did not change, and left nothing to do."""
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
    touched = replace(
        row,
        state=ProjectState.PARTIAL if row.missing_files else ProjectState.CURRENT,
        seen_serial=work.seen_serial,
        older_since=None,
        checked_at=int(time.time()),
        attempts=0 if row.due_at is None else row.attempts,
        error=row.error if row.state is ProjectState.PARTIAL else lacking.reason if row.missing_files else None,
    )
    return Outcome(Publication(CatalogUpdate(touched)), (lacking,) if row.missing_files else ())


def after_gone(work: Work, row: ProjectRow, *, index_missing: str | None = None) -> Outcome:
    """
    Return the outcome of a project that upstream says it does not have.

    Args:
        index_missing: what is to be told instead, where upstream has no index at all.
    """
    now = int(time.time())
    if row.published:
        # How many there are decides, in the end of the run: see the deletion guard.
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
        # The list is up to an hour old: what was deleted since is no failure.
        withdrawn = ProjectRow(
            row.name,
            state=ProjectState.WITHDRAWN,
            serial=work.wanted_serial or None,
            seen_serial=work.seen_serial,
            error=GONE,
            checked_at=now,
        )
        return Outcome(Publication(CatalogUpdate(withdrawn)))
    state, reason = ProjectState.FAILING, "upstream has no such project; look at its name in mirror.toml"
    if row.state is ProjectState.WITHDRAWN:
        state, reason = row.state, "upstream has it no more; if it is not coming back, take it from mirror.toml"
    reason = index_missing or reason
    told = replace(row, state=state, error=reason, checked_at=now)
    return Outcome(Publication(CatalogUpdate(told)), (Failure(project=row.name, reason=reason),))


def after_failure(row: ProjectRow, error: Exception) -> Outcome:
    """Return the outcome of a project that could not be refreshed: what is published stays."""
    state = ProjectState.BEHIND if isinstance(error, StalePageError) else ProjectState.FAILING
    failure = Failure(project=row.name, reason=str(error))
    # Attempts and due time may be those of missing files, which a page that fails meanwhile does not change.
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
    """Return the outcome of a project whose page somebody else had changed: it is an alarm, whatever came of it."""
    failure = Failure(project=outcome.row.name, reason=ALTERED)
    return replace(outcome, failures=(failure, *outcome.failures), altered=True)


def standing(
    work: Work, *, serial: int | None, missing: Sequence[Failure], lost: int
) -> tuple[ProjectState, str | None]:
    """
    Return in which state a page leaves its project, and why it is not current.

    Args:
        serial: the page's.
        missing: files that could not be had.
        lost: how many files stay on the page though upstream's lacks them.
    """
    if missing:
        return ProjectState.PARTIAL, _lacking(len(missing), missing[0])
    if lost:
        return (
            ProjectState.BEHIND,
            f"upstream's page lacks {lost} of the files that ours names; the deletion guard keeps them",
        )
    if work.outdates(serial):
        return ProjectState.BEHIND, _lagging(serial, work.wanted_serial)
    return ProjectState.CURRENT, None


def _lagging(serial: int | None, wanted: int | None) -> str:
    return f"upstream's list has it at serial {wanted}, its page at {serial}; it is asked again"


def _lacking(missing: int, first: Failure | None) -> str:
    which = f"; {first.file}: {first.reason}" if first else ", to be tried again when their time has come"
    return f"{missing} file(s) missing{which}"
