"""The report of ``plan``, for people and for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import Any

from packaging.utils import NormalizedName
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from mirror_contract import Choice, Disk
from mirror_contract.text import printable
from mirror_syncer.commands.dependency_tables import contents_table, dependency_lines, release_table
from mirror_syncer.commands.estimate import ProjectEstimate, Sums
from mirror_syncer.commands.plan_dependencies import (
    PlannedDependencies,
    PlannedRelease,
    release_document,
)
from mirror_syncer.model.decision import FileDecision


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
    dependencies: PlannedDependencies | None = None
    """None: they are not followed."""
    releases: Mapping[NormalizedName, tuple[PlannedRelease, ...]] = field(default_factory=dict)
    """Of the projects that were named, with chains and requirements."""

    @property
    def failed(self) -> bool:
        """Whether a sync would fail, or report that something failed."""
        dependencies_fail = self.dependencies is not None and self.dependencies.failed
        return dependencies_fail or any(project.failed for project in self.projects)

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
        document: dict[str, Any] = {"projects": [self._project_document(project) for project in self.projects]}
        document["totals"] = totals
        if self.dependencies is not None:
            document["dependencies"] = self.dependencies.document()
        return document | ({"warnings": list(self.warnings)} if self.warnings else {})

    def _project_document(self, project: ProjectEstimate) -> dict[str, Any]:
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
        if releases := self.releases.get(project.name):
            entry["releases"] = [release_document(release) for release in releases]
        return entry

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
            if releases := self.releases.get(project.name):
                console.print(release_table(project.name, releases))
        if self.dependencies is not None:
            console.print(contents_table(self.dependencies))
            for line, style in dependency_lines(self.dependencies):
                console.print(Text(line, style=style))
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
        exceeded = self.dependencies is not None and self.dependencies.exceeded  # said already
        if self._without_estimate and self.not_estimated and not exceeded:
            yield f"{self._without_estimate:,} projects have no estimate: {self.not_estimated}", "yellow"


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
