"""Views: how mirrorctl formats answers for people."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import typer
from pydantic import BaseModel
from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mirror_contract import Failure, Project, Run, Schedule, Status
from mirror_contract.text import printable
from mirror_control.client.download_schemas import ClientShare, Downloads, Misses, Share
from mirror_control.client.formatting import UNDATED_EFFECT, format_count, format_deadline, format_duration, format_time
from mirror_control.client.health import assess_health
from mirror_control.client.issue import HealthLevel, Issue
from mirror_control.client.schemas import Item, Page
from mirrorctl import dependency_views, policy_views
from mirrorctl.tables import new_facts, new_table

View = RenderableType

_MINUTE_SECONDS = 60
# Wider than any line: a failure's reason has up to 1,000 characters, and a file name 255.
_PIPE_COLUMNS = 20_000
_COLOURS = {
    HealthLevel.GOOD: "green",
    HealthLevel.BUSY: "cyan",
    HealthLevel.WARNING: "yellow",
    HealthLevel.ALARM: "red",
}


def console() -> Console:
    """Return a console for standard output that prints square brackets literally."""
    return Console(markup=False, highlight=False)


def is_piped() -> bool:
    """Return whether a program reads standard output."""
    return not console().is_terminal


def print_view(view: View) -> None:
    """Print a view in the terminal's width; into a pipe as wide as needed, so that no cell is cut or wrapped."""
    out = console()
    if out.is_terminal:
        out.print(view)
        return
    wide = Console(markup=False, highlight=False, width=_PIPE_COLUMNS)
    with wide.capture() as captured:
        wide.print(view)
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show(answer: BaseModel, view: View, *, as_json: bool) -> None:
    """Print an answer of the API: its JSON, or a view of it."""
    if as_json:
        typer.echo(answer.model_dump_json(exclude_none=True))
    else:
        print_view(view)


def show_page(page: Page[Item], view: View, *, as_json: bool) -> None:
    """Print a page of a list, and how to get the next one."""
    show(page, view, as_json=as_json)
    if page.next is not None and not as_json:
        typer.echo(f"more: --after {printable(page.next)}")  # on one line, so that a mouse copies it whole


def status(found: Status) -> View:
    """Return the mirror's status: first the issues, as the page shows them, then the facts."""
    verdict = assess_health(found, now=datetime.now(UTC))
    facts = new_facts()
    if not found.syncer_up:
        facts.add_row(
            "syncer", Text(f"does not answer; last known status, {format_time(found.as_of)}", style="bold red")
        )
    facts.add_row("fresh", f"last sync finished {format_time(found.last_completed_at)}, next run {_next_run(found)}")
    facts.add_row("complete", format_time(found.last_success_at))
    if found.last_run is not None:
        facts.add_row("last run", _state_and_message(found.last_run))
    for run in found.running:
        facts.add_row("running", f"{run.request.kind} {run.id}: {_progress(run)}")
    if found.queued:
        facts.add_row("queued", str(len(found.queued)))
    states = ", ".join(f"{number:,} {state}" for state, number in found.projects.items() if number)
    facts.add_row("projects", states or "none yet")
    facts.add_row("files", f"{found.files:,}, {decimal(found.stored_bytes)}")
    if found.serial is not None and found.upstream_serial is not None:
        facts.add_row("serial", f"{found.serial}, {found.upstream_serial - found.serial} behind upstream")
    if found.disk is not None:
        free = found.disk.free_bytes / max(found.disk.size_bytes, 1)
        facts.add_row("disk", f"{decimal(found.disk.free_bytes)} free ({free:.0%})")
    if (waiting := found.pending_removal) is not None:
        files, size, last = (
            format_count(waiting.files, "file"),
            decimal(waiting.bytes),
            format_deadline(waiting.last_at),
        )
        command = "`mirrorctl collect --now` deletes them now"
        facts.add_row("removal", f"{files}, {size}, will be deleted {last}; {command}")
    facts.add_row("upstream", f"{printable(found.upstream)}, scope {printable(found.scope)}")
    if found.previous_upstream:
        facts.add_row(
            "changed", f"upstream was {printable(found.previous_upstream)}; the next full sync compares all projects"
        )
    if found.upstream_news_at is not None:
        facts.add_row("news", f"upstream last changed {format_time(found.upstream_news_at)}")
    dependency_views.add_facts(facts, found)
    policy_views.add_facts(facts, found)
    facts.add_row("version", f"{printable(found.version)}, up for {_uptime(found)}")
    panel = Panel(
        facts, title=verdict.title, title_align="left", border_style=_COLOURS[verdict.level], expand=not is_piped()
    )
    issues = [part for issue in verdict.issues for part in _issue(issue)]
    summary = [verdict.summary] if verdict.summary else []
    return Group(*issues, *summary, panel, *([projects(found.failing)] if found.failing else []))


def runs(found: Iterable[Run]) -> View:
    """Return a table of runs, a line each, that fits 80 columns; ``run`` shows more of one."""
    table = new_table("run", "kind", "state", "created", "took", "done", padding=1)
    for run in found:
        counts = run.counts
        done, planned = f"{counts.projects_done:,}", f"{counts.projects_planned:,}"
        failed = counts.projects_failed + counts.projects_partial
        progress = (done if done == planned else f"{done} of {planned}") + (f", {failed:,} failed" if failed else "")
        table.add_row(run.id, run.request.kind, _state(run), format_time(run.created_at), _took(run), progress)
    return table


def run(found: Run) -> View:
    """Return a run with its failures."""
    facts = new_facts()
    facts.add_row("run", f"{found.id} ({found.request.kind}, by {found.trigger})")
    facts.add_row("state", _state_and_message(found))
    facts.add_row("created", f"{format_time(found.created_at)}, took {_took(found)}")
    facts.add_row("done", _progress(found))
    return Group(facts, *([_failures(found.failures)] if found.failures else []))


def projects(found: Iterable[Project]) -> View:
    """Return a table of projects."""
    table = new_table("project", "newest", "state", "files", "size", "changed", "reason")
    for one in found:
        size = decimal(one.stored_bytes)
        newest, changed = printable(one.newest_version), format_time(one.changed_at)
        table.add_row(one.name, newest, one.state, str(one.file_count), size, changed, printable(one.error))
    return table


def project(found: Project) -> View:
    """Return a project with its files and dependencies."""
    facts = new_facts()
    facts.add_row("project", found.name)
    facts.add_row(
        "state", f"{found.state}, checked {format_time(found.checked_at)}, changed {format_time(found.changed_at)}"
    )
    if found.error:
        facts.add_row("reason", printable(found.error))
    if found.due_at:
        facts.add_row(
            "next attempt", f"{format_time(found.due_at)}, after {format_count(found.attempts, 'failed attempt')}"
        )
    facts.add_row("selected by", printable(found.selected) or "no line")
    facts.add_row("excluded", f"{format_count(found.withheld_files, 'file')} by policy{policy_views.withheld(found)}")
    if found.undated_files:
        facts.add_row(
            "undated", f"{format_count(found.undated_files, 'file')} without an upload time; {UNDATED_EFFECT}"
        )
    table = new_table("file", "size", "uploaded", "decision", "sha256", "reason")
    for file in found.files or ():
        size = "" if file.size is None else decimal(file.size)
        uploaded = "unknown" if file.upload_time is None else f"{file.upload_time:%Y-%m-%d %H:%M}"
        table.add_row(
            printable(file.filename),
            size,
            uploaded,
            policy_views.decision(file),
            printable(file.sha256),
            printable(file.reason),
        )
    parts: list[View] = [facts, table]
    if (more := found.file_count - sum(file.url is not None for file in found.files or ())) > 0:
        parts.append(Text(f"{format_count(more, 'older file')} more: /simple/{found.name}/"))
    return Group(*parts, *dependency_views.of_project(found))


def downloads(found: Downloads) -> View:
    """Return download statistics: totals, projects or versions, and clients."""
    facts = new_facts()
    scope = f" of {found.project}" if found.project else ""
    facts.add_row("downloads", f"{found.downloads:,}{scope}, {found.since} to {found.until}")
    facts.add_row("files", ", ".join(f"{share.downloads:,} {share.name}" for share in found.file_types) or "none yet")
    of = _shares("version", found.versions) if found.projects is None else _shares("project", found.projects)
    return Group(facts, of, _shares("client", found.clients))


def misses(found: Misses) -> View:
    """Return the requests that the mirror answered with 404."""
    facts = new_facts()
    facts.add_row("not found", f"{found.requests:,} requests, {found.since} to {found.until}")
    table = new_table("project", "requests", "for its page", "for files", "last day")
    for one in found.projects:
        table.add_row(one.name, f"{one.requests:,}", f"{one.pages:,}", f"{one.files:,}", str(one.last_day))
    return Group(facts, table)


def _shares(heading: str, shares: Sequence[Share] | None) -> Table:
    table = new_table(heading, "downloads")
    for share in shares or ():
        version = share.version if isinstance(share, ClientShare) else ""
        table.add_row(f"{share.name} {version}".strip() or "unknown", f"{share.downloads:,}")
    return table


def tokens(found: Iterable[tuple[str, str, datetime]]) -> View:
    """Return a table of tokens: name, right, and creation time."""
    table = new_table("token", "right", "created")
    for name, right, created_at in found:
        table.add_row(name, right, f"{created_at:%Y-%m-%d %H:%M} UTC")
    return table


def schedule(found: Schedule) -> View:
    """Return the schedule as a sentence."""
    if found.cron is None:
        return "The schedule is off: runs only start when a person requests them."
    if found.paused:
        return "The schedule is paused: until `mirrorctl resume`, runs only start when a person requests them."
    return f"The next run starts {format_time(found.next_run_at)} ({printable(found.cron)})."


def _failures(found: Sequence[Failure]) -> Table:
    table = new_table("project", "reason")
    for one in found:
        table.add_row(printable(one.project), ": ".join(printable(part) for part in (one.file, one.reason) if part))
    return table


def _issue(one: Issue) -> tuple[View, View]:
    """Return the title of an issue, and a table: detail, since, what still works, and what to do."""
    facts = new_facts()
    if one.detail:
        facts.add_row("  detail", printable(one.detail))
    if one.since:
        facts.add_row("  since", f"{format_time(one.since)}, {one.since:%Y-%m-%d %H:%M} UTC")
    facts.add_row("  works", one.still_works)
    facts.add_row("  to do", one.remedy)
    return Text(f"! {one.title}", style=f"bold {_COLOURS[one.level]}"), facts


def _state(run: Run) -> Text:
    colours = {"succeeded": "green", "running": "cyan", "queued": "", "incomplete": "yellow"}
    return Text(run.state, style=colours.get(run.state, "red"))


def _state_and_message(run: Run) -> Text:
    return Text.assemble(_state(run), f": {printable(run.message)}") if run.message else _state(run)


def _progress(run: Run) -> str:
    counts = run.counts
    size = decimal(counts.bytes_fetched or counts.bytes_verified)
    progress = f"{counts.projects_done:,} of {counts.projects_planned:,} projects, {size}"
    failed = counts.projects_failed + counts.projects_partial
    return f"{progress}, {failed:,} failed or partial" if failed else progress


def _took(run: Run) -> str:
    if run.started_at is None:
        return "–"
    seconds = ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()
    return f"{seconds:.1f} s" if seconds < 2 * _MINUTE_SECONDS else f"{seconds / _MINUTE_SECONDS:.0f} min"


def _uptime(found: Status) -> str:
    return format_duration((found.as_of - found.started_at).total_seconds())


def _next_run(found: Status) -> str:
    if not found.syncer_up:
        return "once the syncer answers"
    if found.schedule.paused:
        return "none: the schedule is paused"
    return format_time(found.schedule.next_run_at) if found.schedule.cron else "none: the schedule is off"
