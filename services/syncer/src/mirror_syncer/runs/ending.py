"""How a run ends: its final state, and the message that explains it."""

import structlog

from mirror_contract import Failure, Run, RunKind, RunState
from mirror_syncer.runs.active_run import ActiveRun

log = structlog.get_logger()


def ending(run: ActiveRun) -> tuple[RunState, str | None]:
    """Return the final state of a run, and a message that says what happened and what to do about it."""
    counts, remarks = run.progress.counts, list[str]()
    withheld = counts.projects_withheld
    if run.cancelled:
        done = f"{counts.projects_done} of {counts.projects_planned} projects"
        state, parts = RunState.CANCELLED, [f"cancelled after {done}"]
    elif (cause := _cause_of_failure(run)) is not None:
        state, parts = RunState.FAILED, [cause]
    else:
        parts, remarks = _shortcomings(run), run.report.remarks
        state = RunState.INCOMPLETE if parts or withheld else RunState.SUCCEEDED
    if withheld:  # in every state: nothing else reports it
        parts.append(
            f"{withheld} removals are withheld by the deletion guard; to allow them: "
            f"mirrorctl sync --allow-removals {withheld}"
        )
    return state, "; ".join(parts + remarks) or None


def log_ending(run: ActiveRun) -> None:
    """Log the end of a run with its numbers."""
    document = run.document
    run.report.log.summarize()
    numbers = {key: value for key, value in document.counts.model_dump().items() if value}
    write = log.error if document.state is RunState.FAILED else log.info
    write(
        "run ended",
        run=run.id,  # a run that was cancelled while it was queued has bound no id
        kind=run.request.kind,
        trigger=document.trigger,
        state=document.state,
        seconds=round(_duration(document), 1),
        phases={phase: round(seconds, 1) for phase, seconds in run.progress.phases.items()},
        **numbers,
        **({"why": document.message} if document.message else {}),
    )


def _duration(document: Run) -> float:
    started, finished = document.started_at, document.finished_at
    return (finished - started).total_seconds() if started and finished else 0.0


def _cause_of_failure(run: ActiveRun) -> str | None:
    """Return why the run as a whole failed, or None."""
    counts, report = run.progress.counts, run.report
    if run.error is not None:
        return Failure(reason=str(run.error)).reason  # cut short: upstream's redirect may have 100 kB
    if run.sync.whole_index:
        return None  # upstream's list was read; the only projects retried may be a few bad ones
    if report.unreachable and report.unreachable == counts.projects_done:
        return f"upstream does not answer: {report.failures[0].reason}"
    if 1 < counts.projects_planned == counts.projects_failed:
        return f"every project failed; check MIRROR_UPSTREAM; {report.failures[0].reason}"
    return None


def _shortcomings(run: ActiveRun) -> list[str]:
    """Return what a run that reached its end could not do, each with its remedy."""
    counts, parts = run.progress.counts, list[str]()
    if counts.projects_failed:
        done = "verified" if run.request.kind is RunKind.VERIFY else "refreshed"
        parts.append(f"{counts.projects_failed} project(s) could not be {done}")
    if counts.projects_partial:
        parts.append(f"{counts.projects_partial} project(s) lack files that could not be downloaded")
    if counts.files_damaged and not run.request.repair:
        parts.append(
            f"{counts.files_damaged} published file(s) or page(s) are damaged; mirrorctl verify --repair "
            "downloads them again"
        )
    if run.report.failure_count and not parts and not counts.projects_withheld:
        parts.append(f"{run.report.failure_count} failure(s), the first: {run.report.failures[0].reason}")
    return parts
