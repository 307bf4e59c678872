"""The report of ``plan``, for people and for programs."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import Any

from packaging.utils import NormalizedName
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mirror_contract import Choice, Disk, RunRequest, parse_project_name
from mirror_contract.text import printable
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.estimate import MAX_ESTIMATED_PROJECTS, Estimator, ProjectEstimate, Sums, open_index
from mirror_syncer.config import Policy
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import VolumeError, VolumeMissingError
from mirror_syncer.model.decision import FileDecision
from mirror_syncer.model.project import BLOCKED, UNSELECTED, ProjectRow
from mirror_syncer.runs.sync.guard import DeletionGuard
from mirror_syncer.runs.sync.plan import Plan, plan_sync
from mirror_syncer.volume import View
from mirror_syncer.work.catalog_proxy import DirectCatalogProxy
from mirror_syncer.work.transfer import EvidenceReader, UnhashedFiles


@dataclass(frozen=True, slots=True)
class Report:
    """A plan, with an estimate if upstream was asked."""

    projects: tuple[ProjectEstimate, ...]
    disk: Disk | None
    """None if the disk cannot be read."""
    reserve: float
    """The share of the disk that a sync leaves free."""
    not_estimated: str | None = None
    """Why upstream was not asked."""
    warnings: tuple[str, ...] = ()
    """Rules that contradict each other, and inputs of the policy that cannot be used."""

    @property
    def failed(self) -> bool:
        """Whether a sync would report that a project failed."""
        return any(project.failed for project in self.projects)

    @property
    def sums(self) -> Sums:
        """The sums of all projects."""
        return reduce(add, (project.sums for project in self.projects if project.sums), Sums())

    @property
    def _without_estimate(self) -> int:
        return sum(project.action == "refresh" and project.sums is None for project in self.projects)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON types; unknown numbers are absent, never 0."""
        totals: dict[str, Any] = {"projects": len(self.projects), "not_estimated": self._without_estimate}
        totals["failed"] = sum(project.failed for project in self.projects)
        if any(project.sums for project in self.projects):
            totals |= asdict(self.sums)
        if self.disk is not None:
            totals["free_bytes"] = self.disk.free_bytes
            totals["reserve_bytes"] = int(self.disk.size_bytes * self.reserve)
            if "fetch_bytes" in totals:
                totals["free_bytes_after"] = self.disk.free_bytes - totals["fetch_bytes"]
        document = {"projects": [_project_document(project) for project in self.projects], "totals": totals}
        return document | ({"warnings": list(self.warnings)} if self.warnings else {})

    def show(self, console: Console) -> None:
        """Print the report, without the markup and control characters that upstream's names and reasons may hold."""
        table = Table("project", "action", "files", "size", "why", box=None, pad_edge=False)
        for project in self.projects:
            sums = project.sums
            files, size = ("", "") if sums is None else (str(sums.fetch_files), _download_size(sums))
            reason = "; ".join((project.reason, *project.warnings))
            table.add_row(project.name, project.action, files, size, Text(printable(reason)))
        console.print(table)
        for project in self.projects:
            if project.files:
                console.print(_file_table(project))
        for warning in self.warnings:
            console.print(Text(f"warning: {printable(warning)}", style="yellow"))
        for line, style in self._summary():
            console.print(Text(line, style=style))

    def _summary(self) -> Iterator[tuple[str, str]]:
        sums = self.sums
        if any(project.sums for project in self.projects):
            parts = [f"{len(self.projects):,} projects", f"{sums.fetch_files:,} files to download"]
            parts[1] += f", {size}" if (size := _download_size(sums)) else ""
            if sums.leaving_files:
                parts.append(f"{sums.leaving_files:,} files leave ({decimal(sums.leaving_bytes)})")
            if sums.held_files or sums.blocked_files:
                parts.append(f"{sums.held_files:,} files are held, {sums.blocked_files:,} are blocked")
            if sums.lost_files:
                parts.append(f"the deletion guard keeps {sums.lost_files:,} files")
            yield ", ".join(parts), "bold"
            if self.disk is not None:
                after = self.disk.free_bytes - sums.fetch_bytes
                least = "at most " if sums.unknown_sizes else ""
                yield f"{decimal(self.disk.free_bytes)} free now, {least}{_signed_size(after)} after", ""
                if after < self.disk.size_bytes * self.reserve:
                    kept = f"the {self.reserve:.0%} of the disk that a sync leaves free (MIRROR_DISK_RESERVE)"
                    yield f"That would use {kept}: grow the disk, or select less in mirror.toml", "bold yellow"
        if self._without_estimate and self.not_estimated:
            yield f"{self._without_estimate:,} projects have no estimate: {self.not_estimated}", "yellow"


async def make_report(
    settings: Settings,
    request: RunRequest,
    *,
    policy: Policy,
    catalog: Catalog,
    offline: bool,
    replaceable: Collection[NormalizedName] = (),
    warnings: Sequence[str] = (),
) -> Report:
    """
    Plan a sync and estimate its downloads; nothing is written.

    Raises:
        UnreachableError: upstream does not answer.
        VolumeError: the tree is missing or cannot be read.
    """
    rows = {row.name: row for row in catalog.projects.all_rows()}
    only = None if request.projects is None else [parse_project_name(name) for name in request.projects]
    published = DeletionGuard(catalog).count_guarded()
    plan = plan_sync(policy, rows, only=only, published=published, replaceable=replaceable)
    view = View(settings.data)
    if rows and not view.present:
        raise VolumeMissingError(f"{view.base} has no marker, but the catalog holds projects; is the disk mounted?")
    not_estimated = None
    if offline:
        not_estimated = "upstream was not contacted (--offline)"
    elif len(plan.refresh) > MAX_ESTIMATED_PROJECTS:
        not_estimated = f"an estimate covers at most {MAX_ESTIMATED_PROJECTS:,} projects; name some projects"
    if not_estimated is None:
        async with open_index(settings) as index:
            judge = EvidenceReader(
                index=index,
                view=view,
                unhashed=UnhashedFiles(settings.without_hash, upstream=settings.upstream, digest_of=view.other_digest),
                kept=DirectCatalogProxy(catalog).kept,
                stale_waits=(),
            )
            estimator = Estimator(policy=policy, catalog=catalog, view=view, judge=judge, with_files=only is not None)
            with _progress(len(plan.refresh)) as progress:
                refreshed = await estimator.estimate(plan, at_once=settings.connections, progress=progress)
    else:
        refreshed = [ProjectEstimate(step.name, "refresh", step.reason) for step in plan.refresh]
    return Report(
        (*refreshed, *_list_others(plan, rows, policy)),
        _read_disk(view),
        settings.disk_reserve,
        not_estimated,
        tuple(warnings),
    )


def _list_others(plan: Plan, rows: dict[Any, ProjectRow], policy: Policy) -> Iterator[ProjectEstimate]:
    def blocked(name: NormalizedName) -> str | None:
        reason = policy.blocked_names.reason(name)
        return None if reason is None else f"{BLOCKED}: {reason}"

    for name in plan.withdraw:
        row = rows[name]
        sums = Sums(leaving_files=row.file_count, leaving_bytes=row.stored_bytes)
        yield ProjectEstimate(name, "withdraw", blocked(name) or UNSELECTED, sums)
    for name in plan.withheld:
        sums = Sums(have_files=rows[name].file_count)
        yield ProjectEstimate(name, "withheld", f"{UNSELECTED}; the deletion guard keeps it", sums)
    for name in plan.unselected:
        yield ProjectEstimate(name, "none", blocked(name) or "not selected in mirror.toml")


def _project_document(project: ProjectEstimate) -> dict[str, Any]:
    entry: dict[str, Any] = {"project": project.name, "action": project.action, "reason": project.reason}
    if project.warnings:
        entry["warnings"] = list(project.warnings)
    if project.sums is not None:
        entry |= asdict(project.sums)
    if project.files is not None:
        entry["files"] = [
            {
                "file": file.filename,
                "decision": file.choice,
                "download": _is_downloaded(project, file),
                "size": file.size,
                "reason": file.reason,
            }
            | _until(file)
            for file in project.files
        ]
    return entry


def _until(file: FileDecision) -> dict[str, str]:
    """Return when a file is published, if that is before the year 10000."""
    try:
        return {} if file.until is None else {"until": datetime.fromtimestamp(file.until, UTC).isoformat()}
    except (ValueError, OverflowError):
        return {}


def _file_table(project: ProjectEstimate) -> Table:
    table = Table(project.name, "", "size", "why", box=None, pad_edge=False)
    for file in project.files or ():
        size = "unknown" if file.size is None else decimal(file.size)
        choice = "download" if _is_downloaded(project, file) else file.choice
        table.add_row(Text(printable(file.filename)), choice, size, Text(printable(file.reason)))
    return table


def _is_downloaded(project: ProjectEstimate, file: FileDecision) -> bool:
    return file.choice is Choice.KEEP and file.filename in project.downloads


def _download_size(sums: Sums) -> str:
    """Return the size of the downloads; unknown sizes are shown as unknown, not as 0."""
    known = decimal(sums.fetch_bytes) if sums.fetch_files > sums.unknown_sizes else ""
    unknown = f"{sums.unknown_sizes:,} of unknown size" if sums.unknown_sizes else ""
    return " and ".join(filter(None, (known, unknown)))


def _signed_size(size: int) -> str:
    return decimal(size) if size >= 0 else f"-{decimal(-size)}"


def _read_disk(view: View) -> Disk | None:
    try:
        return view.disk()
    except VolumeError:
        return None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("asking upstream", total=total)
        yield lambda done: progress.update(bar, completed=done)
