"""What a run says about requirements that the mirror does not meet."""

from mirror_contract import Failure, UnmetReason
from mirror_syncer.config.machines.listing import listed
from mirror_syncer.config.policy.closure import Closure, Unmet
from mirror_syncer.runs import ActiveRun


def report_unmet(run: ActiveRun, closure: Closure) -> None:
    """Report lines that cannot be installed, and what could not be looked at; remark on other unmet requirements."""
    unmet, reported = 0, {failure.project for failure in run.report.failures if failure.file is None}
    for one in closure.unmet:
        if not one.version and one.project in reported:
            continue  # a line whose page could not be read, for example
        if one.reason in (UnmetReason.NO_PROOF, UnmetReason.FAILED):
            run.report.add(Failure(project=one.project, reason=describe(one)))
        else:
            unmet += one.reason is not UnmetReason.UNKNOWN
    if unmet:
        what = "1 requirement is" if unmet == 1 else f"{unmet:,} requirements are"
        run.report.remarks.append(f"{what} not met on this mirror; see `mirrorctl projects --unmet`")


def describe(unmet: Unmet) -> str:
    """Return a sentence about an unmet requirement."""
    if unmet.reason is UnmetReason.NO_PROOF:  # the message names lines and machines
        return f"{unmet.requirement}: {unmet.message}" if unmet.requirement.startswith("group ") else unmet.message
    where = f" on {listed(unmet.machines)}" if unmet.machines else ""
    by = f"{unmet.project} {unmet.version}".strip()
    if not unmet.requirement:
        return f"{by}: {unmet.message}"
    if not unmet.version:  # of a line or a group
        return f"{unmet.requirement}{where}: {unmet.message}"
    return f"{by} requires {unmet.requirement}{where}: {unmet.message}"
