"""How a run ends: its last state, and the message that goes with it."""

from mirror_contract import Failure, RunKind, RunState
from mirror_syncer.runs.active_run import ActiveRun


def ending(run: ActiveRun) -> tuple[RunState, str | None]:
    """Return as what a run ends, and what its message tells: what happened, and what to do about it."""
    counts, remarks = run.document.counts, list[str]()
    withheld = counts.projects_withheld
    if run.cancelled:
        state, parts = (
            RunState.CANCELLED,
            [f"cancelled after {counts.projects_done} of {counts.projects_planned} projects"],
        )
    elif (why := _in_vain(run)) is not None:
        state, parts = RunState.FAILED, [why]
    else:
        parts, remarks = _shortcomings(run), run.remarks
        state = RunState.INCOMPLETE if parts or withheld else RunState.SUCCEEDED
    if withheld:  # however it ended: nobody else tells
        parts.append(
            f"{withheld} removals are withheld by the deletion guard; if they are meant: "
            f"mirrorctl sync --allow-removals {withheld}"
        )
    return state, "; ".join(parts + remarks) or None


def _in_vain(run: ActiveRun) -> str | None:
    """Return why nothing of a run could be done, or None."""
    counts = run.document.counts
    if run.fatal is not None:
        return Failure(reason=str(run.fatal)).reason  # cut short: upstream's redirect may have 100 kB
    if run.follows_list:
        return None  # upstream's list was had; what is tried again may be a few bad projects and no others
    if run.unreachable and run.unreachable == counts.projects_done:
        return f"upstream does not answer: {run.document.failures[-1].reason}"
    if 1 < counts.projects_planned == counts.projects_failed:
        return f"every project failed, so look at MIRROR_UPSTREAM; {run.document.failures[0].reason}"
    return None


def _shortcomings(run: ActiveRun) -> list[str]:
    """Return what a run that was done could not do, each with what to do about it."""
    counts, parts = run.document.counts, list[str]()
    if counts.projects_failed:
        done = "verified" if run.request.kind is RunKind.VERIFY else "refreshed"
        parts.append(f"{counts.projects_failed} project(s) could not be {done}")
    if counts.projects_partial:
        parts.append(f"{counts.projects_partial} project(s) lack files that could not be had")
    if counts.files_damaged and not run.request.repair:
        parts.append(
            f"{counts.files_damaged} published file(s) or page(s) are damaged; mirrorctl verify --repair "
            "fetches them again"
        )
    if run.noted and not parts and not counts.projects_withheld:
        parts.append(f"{run.noted} failure(s), the first: {run.document.failures[0].reason}")
    return parts
