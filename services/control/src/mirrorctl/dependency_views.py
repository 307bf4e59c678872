"""Views of the dependency closure: what is unmet, and what a project has to do with others."""

from collections.abc import Iterable, Iterator

from rich.table import Table

from mirror_contract import Project, RequirementState, SelectionCause, Status, UnmetReason, UnmetRequirement
from mirror_contract.text import printable
from mirror_control.client.formatting import describe_machines, format_count, format_time
from mirrorctl.tables import new_table

_SHOWN_RELEASES = 3  # of those that state a requirement; the newest come first


def unmet(found: Iterable[UnmetRequirement]) -> Table:
    """Return a table of requirements that the mirror does not meet."""
    rows = new_table("project", "version", "requirement", "machines", "reason")
    for one in found:
        machines = printable(describe_machines(one.machines))
        rows.add_row(one.project, printable(one.version), printable(one.requirement), machines, printable(one.message))
    return rows


def add_facts(facts: Table, found: Status) -> None:
    """Add what a status says about dependencies: how many projects are here for them, and what is not met."""
    if (summary := found.dependencies) is None:
        return
    if summary.resolved_at is None:
        facts.add_row("requires", "not resolved yet; the next sync resolves what the lines need")
        return
    required, locked = (summary.projects.get(cause, 0) for cause in (SelectionCause.REQUIRED, SelectionCause.LOCK))
    lock = f" and {locked:,} by a lock alone" if locked else ""
    resolved = format_time(summary.resolved_at)
    facts.add_row("requires", f"{format_count(required, 'project')} beside the lines{lock}, resolved {resolved}")
    if summary.lines:
        installable = summary.lines - summary.lines_without_proof
        facts.add_row("installs", f"{installable:,} of {format_count(summary.lines, 'line')} on every machine")
    if summary.unmet_requirements:
        reasons = ", ".join(
            f"{number:,} {reason.replace('_', ' ')}"
            for reason, number in summary.unmet.items()
            if number and reason is not UnmetReason.NO_PROOF
        )
        count = format_count(summary.unmet_requirements, "requirement")
        facts.add_row("unmet", f"{count} ({reasons}); `mirrorctl projects --unmet` lists them")


def of_project(found: Project) -> Iterator[Table]:
    """Yield why the releases of a project are here, what they require, and who requires them."""
    if (dependencies := found.dependencies) is None:
        return
    if dependencies.releases:
        releases = new_table("release", "here because of")
        for release in dependencies.releases:
            releases.add_row(printable(release.version), printable(release.because))
        yield releases
    if dependencies.requires:
        requires = new_table("requires", "state", "releases", "reason")
        for one in dependencies.requires:
            reason = printable(one.message)
            if one.state is RequirementState.UNMET and one.machines:
                reason += f" ({printable(describe_machines(one.machines))})"
            shown = ", ".join(map(printable, one.releases[:_SHOWN_RELEASES]))
            shown += " …" if len(one.releases) > _SHOWN_RELEASES else ""
            requires.add_row(printable(one.requirement) or "possibly more", one.state, shown, reason)
        yield requires
    if dependencies.required_by:
        requirers = new_table("required by", "as")
        for by in dependencies.required_by:
            requirers.add_row(printable(by.project), printable(by.requirement))
        yield requirers
