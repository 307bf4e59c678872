"""What ``plan`` tells, to people and to programs."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any

from packaging.utils import NormalizedName
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from mirror_contract import Disk, RunRequest, parse_project_name
from mirror_contract.text import plain
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.weighing import WEIGHED_MOST, Scale, open_index, weigh
from mirror_syncer.commands.weight import Sums, Weight
from mirror_syncer.config import Policy
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import VolumeError, VolumeMissingError
from mirror_syncer.model.project import ProjectRow
from mirror_syncer.runs.sync.guard import RecentRemovals
from mirror_syncer.runs.sync.plan import Plan, plan_sync
from mirror_syncer.volume import View
from mirror_syncer.work.transfer import UnhashedFiles


@dataclass(frozen=True, slots=True)
class Report:
    """A plan, weighed as far as it was asked for."""

    weights: tuple[Weight, ...]
    disk: Disk | None
    """None: the volume cannot be asked."""
    reserve: float
    """The share of the disk that a sync leaves free."""
    unweighed: str | None = None
    """Why projects that are refreshed were not weighed."""

    @property
    def failed(self) -> bool:
        """Whether some project's page could not be had."""
        return any(weight.failed for weight in self.weights)

    @property
    def sums(self) -> Sums:
        """All projects' together."""
        return reduce(add, (weight.sums for weight in self.weights if weight.sums), Sums())

    @property
    def _not_weighed(self) -> int:
        return sum(weight.action == "refresh" and weight.sums is None for weight in self.weights)

    def document(self) -> dict[str, Any]:
        """Return it in JSON's types; numbers are absent where nothing was weighed, never 0."""
        totals: dict[str, Any] = {"projects": len(self.weights), "not_weighed": self._not_weighed}
        totals["failed"] = sum(weight.failed for weight in self.weights)
        if any(weight.sums for weight in self.weights):
            totals |= asdict(self.sums)
        if self.disk is not None:
            totals["free_bytes"] = self.disk.free_bytes
            totals["reserve_bytes"] = int(self.disk.size_bytes * self.reserve)
            if "fetch_bytes" in totals:
                totals["free_bytes_after"] = self.disk.free_bytes - totals["fetch_bytes"]
        return {"projects": [_entry(weight) for weight in self.weights], "totals": totals}

    def show(self, console: Console) -> None:
        """Print it; names and reasons are upstream's words, so without markup and control characters."""
        table = Table("project", "action", "files", "size", "why", box=None, pad_edge=False)
        for weight in self.weights:
            files, size = ("", "") if weight.sums is None else (str(weight.sums.fetch_files), _size(weight.sums))
            table.add_row(weight.name, weight.action, files, size, Text(plain(weight.reason)))
        console.print(table)
        for weight in self.weights:
            if weight.files:
                console.print(_files(weight))
        for line, style in self._summary():
            console.print(Text(line, style=style))

    def _summary(self) -> Iterator[tuple[str, str]]:
        sums = self.sums
        if any(weight.sums for weight in self.weights):
            leaving = f", {sums.leaving_files:,} leave ({decimal(sums.leaving_bytes)})" if sums.leaving_files else ""
            fetched = f"{sums.fetch_files:,} files to fetch, {_size(sums) or decimal(0)}{leaving}"
            yield f"{len(self.weights):,} projects, {fetched}", "bold"
            if self.disk is not None:
                after = self.disk.free_bytes - sums.fetch_bytes
                least = "at most " if sums.unknown_sizes else ""
                yield f"{decimal(self.disk.free_bytes)} free now, {least}{_signed(after)} after", ""
                if after < self.disk.size_bytes * self.reserve:
                    kept = f"the {self.reserve:.0%} that stay free (MIRROR_DISK_RESERVE)"
                    yield f"That would touch {kept}: grow the disk, or select less in mirror.toml", "bold yellow"
        if self._not_weighed and self.unweighed:
            yield f"{self._not_weighed:,} projects are not weighed: {self.unweighed}", "yellow"


async def make_report(
    settings: Settings,
    request: RunRequest,
    *,
    policy: Policy,
    catalog: Catalog,
    offline: bool,
    replaceable: Collection[NormalizedName] = (),
) -> Report:
    """
    Plan a sync, and weigh it; nothing is written.

    Raises:
        UnreachableError: upstream answers for nobody.
        VolumeError: the tree cannot be read, or is not there.
    """
    rows = {row.name: row for row in catalog.projects.every()}
    only = None if request.projects is None else [parse_project_name(name) for name in request.projects]
    published = RecentRemovals(catalog).of_how_many()
    plan = plan_sync(policy, rows, only=only, published=published, replaceable=replaceable)
    view = View(settings.data)
    if rows and not view.present:
        raise VolumeMissingError(f"{view.base} has no marker, though the catalog holds projects: is the disk mounted?")
    unweighed = None
    if offline:
        unweighed = "upstream was not asked (--offline)"
    elif len(plan.refresh) > WEIGHED_MOST:
        unweighed = f"that would ask for more than {WEIGHED_MOST:,} pages; name the projects to weigh"
    if unweighed is None:
        async with open_index(settings) as index:
            unhashed = UnhashedFiles(settings.without_hash, upstream=settings.upstream, digest_of=view.other_digest)
            scale = Scale(
                policy=policy,
                catalog=catalog,
                view=view,
                index=index,
                unhashed=unhashed,
                keep_files=only is not None,
            )
            with _progress(len(plan.refresh)) as weighed:
                refreshed = await weigh(plan, scale=scale, at_once=settings.connections, weighed=weighed)
    else:
        refreshed = [Weight(step.name, "refresh", step.reason) for step in plan.refresh]
    weights = (*refreshed, *_others(plan, rows))
    return Report(weights, _disk(view), settings.disk_reserve, unweighed)


def _others(plan: Plan, rows: dict[Any, ProjectRow]) -> Iterator[Weight]:
    for name in plan.withdraw:
        row = rows[name]
        sums = Sums(leaving_files=row.file_count, leaving_bytes=row.stored_bytes)
        yield Weight(name, "withdraw", "no longer selected in mirror.toml", sums)
    for name in plan.withheld:
        yield Weight(name, "withheld", "the deletion guard holds the removal back")
    for name in plan.unselected:
        yield Weight(name, "none", "not selected in mirror.toml")


def _entry(weight: Weight) -> dict[str, Any]:
    entry: dict[str, Any] = {"project": weight.name, "action": weight.action, "reason": weight.reason}
    if weight.sums is not None:
        entry |= asdict(weight.sums)
    if weight.files is not None:
        entry["files"] = [
            {"file": file.filename, "fate": file.fate, "size": file.size, **({"why": file.why} if file.why else {})}
            for file in weight.files
        ]
    return entry


def _files(weight: Weight) -> Table:
    table = Table(weight.name, "", "size", "why", box=None, pad_edge=False)
    for file in weight.files or ():
        size = "unknown" if file.size is None else decimal(file.size)
        table.add_row(Text(plain(file.filename)), file.fate, size, Text(plain(file.why or "")))
    return table


def _size(sums: Sums) -> str:
    """Return what is to be fetched; what nobody knows is told as such, not as nothing."""
    known = decimal(sums.fetch_bytes) if sums.fetch_files > sums.unknown_sizes else ""
    unknown = f"{sums.unknown_sizes:,} of unknown size" if sums.unknown_sizes else ""
    return " and ".join(filter(None, (known, unknown)))


def _signed(size: int) -> str:
    return decimal(size) if size >= 0 else f"-{decimal(-size)}"


def _disk(view: View) -> Disk | None:
    try:
        return view.disk()
    except VolumeError:
        return None


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("asking upstream", total=total)
        yield lambda done: progress.update(bar, completed=done)
