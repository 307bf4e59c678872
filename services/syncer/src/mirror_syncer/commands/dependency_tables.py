"""The dependencies of a plan, as a person reads them."""

from collections.abc import Iterator, Sequence

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from mirror_contract.text import printable
from mirror_syncer.commands.plan_dependencies import PlannedDependencies, PlannedRelease, PlannedRequirement
from mirror_syncer.config.machines.listing import listed
from mirror_syncer.config.policy.closure import Unmet
from mirror_syncer.runs.sync.unmet_report import describe

_MAX_LISTED = 20
_FROM_LAST = "the dependencies are those of the last sync: what is stored here does not suffice for other ones"


def contents_table(dependencies: PlannedDependencies) -> Table:
    """Return how much is kept, by why."""
    table = Table("kept for", "projects", "releases", "files", "size", box=None, pad_edge=False)
    for origin, contents in dependencies.contents.items():
        files, size = ("", "") if dependencies.demands is None else (f"{contents.files:,}", decimal(contents.bytes))
        table.add_row(origin.value, f"{contents.projects:,}", f"{contents.releases:,}", files, size)
    return table


def dependency_lines(dependencies: PlannedDependencies) -> Iterator[tuple[str, str]]:
    """Yield sentences with their styles: what is not met, what has no proof, and which limit stops a sync."""
    if dependencies.demands is None:
        yield _FROM_LAST, "yellow"
    is_known = dependencies.asked or not dependencies.unknown_projects
    if dependencies.asked:
        yield from _listed("could not be looked at", dependencies.unknown, "red")
    elif not is_known:
        yield (
            f"What {len(dependencies.unknown_projects):,} project(s) need is unknown here; a sync asks upstream",
            "yellow",
        )
    if is_known:
        yield from _listed("cannot be installed", dependencies.reported, "red")
        verb = "requirement is" if len(dependencies.unmet) == 1 else "requirements are"
        yield from _listed(f"{verb} not met", dependencies.unmet, "yellow")
    for problem in dependencies.exceeded:
        yield f"A sync downloads nothing: {problem}", "bold red"


def release_table(project: str, releases: Sequence[PlannedRelease]) -> Table:
    """Return the releases of a project with their chains, and what each requires."""
    table = Table(project, "requires", "met by", "why it is kept", box=None, pad_edge=False)
    for release in releases:
        version, chain = printable(release.version), printable(release.chain)
        for requirement in release.requires or (None,):
            required, met = ("nothing", "") if requirement is None else (requirement.requirement, _met(requirement))
            table.add_row(Text(version), Text(printable(required)), Text(printable(met)), Text(chain))
            version = chain = ""
    return table


def _met(requirement: PlannedRequirement) -> str:
    if requirement.missing or not requirement.met_by:
        met = f"not met: {'; '.join(requirement.missing) or 'no release is kept'}"
    else:
        met = ", ".join(requirement.met_by) + (" (here)" if requirement.here else " (comes with the sync)")
    return f"{met}; only on {listed(requirement.machines)}" if requirement.machines else met


def _listed(what: str, unmet: Sequence[Unmet], style: str) -> Iterator[tuple[str, str]]:
    if unmet:
        yield f"{len(unmet):,} {what}:", style
        yield from ((f"  {printable(describe(one))}", style) for one in unmet[:_MAX_LISTED])
        if len(unmet) > _MAX_LISTED:
            yield f"  and {len(unmet) - _MAX_LISTED:,} more; --json lists all", style
