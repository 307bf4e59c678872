"""How mirrorctl shows things to people."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mirror_contract import Failure, Project, Run, Schedule, Status
from mirror_contract.text import plain
from mirror_control.client.concerns import Concern, Level
from mirror_control.client.download_shapes import ClientShare, Downloads, Misses, Share
from mirror_control.client.verdict import judge
from mirror_control.client.words import UNDATED, ago, count, span

View = RenderableType

_MINUTE = 60
# More than the longest line: a failure's reason has 1,000 characters, and a file's name 255.
_PIPE_COLUMNS = 20_000
_COLOURS = {Level.GOOD: "green", Level.BUSY: "cyan", Level.WARNING: "yellow", Level.ALARM: "red"}


def console() -> Console:
    """Return standard output; square brackets in names and messages are what they are."""
    return Console(markup=False, highlight=False)


def piped() -> bool:
    """Whether a program reads, not a person."""
    return not console().is_terminal


def show(view: View) -> None:
    """Print it: on a terminal as wide as that is, elsewhere as wide as it takes, so that no cell is cut or broken."""
    out = console()
    if out.is_terminal:
        out.print(view)
        return
    wide = Console(markup=False, highlight=False, width=_PIPE_COLUMNS)
    with wide.capture() as captured:
        wide.print(view)
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def status(found: Status) -> View:
    """Return the mirror's status: what needs a person first, as the page tells it, then the facts."""
    told = judge(found, now=datetime.now(UTC))
    facts = _facts()
    if not found.syncer_up:
        facts.add_row("syncer", Text(f"away. This is what it said {ago(found.as_of)}", style="bold red"))
    facts.add_row("fresh", f"last sync done {ago(found.last_completed_at)}, next run {_next(found)}")
    facts.add_row("complete", ago(found.last_success_at))
    if found.last_run is not None:
        facts.add_row("last run", Text.assemble(_state(found.last_run), " ", plain(found.last_run.message)))
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
        files, size, last = count(waiting.files, "file"), decimal(waiting.bytes), ago(waiting.last_at)
        how = "`mirrorctl collect --now` deletes them now"
        facts.add_row("removal", f"{files}, {size}, to be deleted {last} at the latest; {how}")
    facts.add_row("upstream", f"{plain(found.upstream)}, scope {plain(found.scope)}")
    if found.upstream_before:
        facts.add_row("changed", f"upstream was {plain(found.upstream_before)}; a sync compares all projects")
    if found.upstream_news_at is not None:
        facts.add_row("news", f"upstream's last news: {ago(found.upstream_news_at)}")
    facts.add_row("policy", found.policy.sentence() if found.policy else "unknown")
    facts.add_row("version", f"{plain(found.version)}, up for {_uptime(found)}")
    panel = Panel(facts, title=told.title, title_align="left", border_style=_COLOURS[told.level], expand=not piped())
    concerns = [part for concern in told.concerns for part in _concern(concern)]
    sentence = [told.sentence] if told.sentence else []
    return Group(*concerns, *sentence, panel, *([projects(found.failing)] if found.failing else []))


def runs(found: Iterable[Run]) -> View:
    """Return a table of runs that fits 80 columns, each in a line; one by itself tells more."""
    table = _table("run", "kind", "state", "asked", "took", "done", padding=1)
    for run in found:
        counts = run.counts
        done, planned = f"{counts.projects_done:,}", f"{counts.projects_planned:,}"
        failed = counts.projects_failed + counts.projects_partial
        told = (done if done == planned else f"{done} of {planned}") + (f", {failed:,} bad" if failed else "")
        table.add_row(run.id, run.request.kind, _state(run), ago(run.created_at), _took(run), told)
    return table


def run(found: Run) -> View:
    """Return a run with what went wrong in it."""
    facts = _facts()
    facts.add_row("run", f"{found.id} ({found.request.kind}, by {found.trigger})")
    facts.add_row("state", Text.assemble(_state(found), " ", plain(found.message)))
    facts.add_row("asked for", f"{ago(found.created_at)}, took {_took(found)}")
    facts.add_row("done", _progress(found))
    return Group(facts, *([_failures(found.failures)] if found.failures else []))


def projects(found: Iterable[Project]) -> View:
    """Return a table of projects."""
    table = _table("project", "state", "files", "size", "checked", "why")
    for one in found:
        size = decimal(one.stored_bytes)
        table.add_row(one.name, one.state, str(one.file_count), size, ago(one.checked_at), plain(one.error))
    return table


def project(found: Project) -> View:
    """Return a project with its files."""
    facts = _facts()
    facts.add_row("project", found.name)
    facts.add_row("state", f"{found.state}, checked {ago(found.checked_at)}, changed {ago(found.changed_at)}")
    if found.error:
        facts.add_row("why", plain(found.error))
    if found.due_at:
        facts.add_row("next try", f"{ago(found.due_at)}, after {found.attempts} failed")
    facts.add_row("selected by", plain(found.selected) or "nothing in mirror.toml")
    facts.add_row("left out", f"{found.withheld_files} files by policy")
    if found.undated_files:
        facts.add_row("undated", f"{found.undated_files:,} files have no upload time; {UNDATED}")
    table = _table("file", "size", "uploaded", "decision", "sha256", "why")
    for file in found.files or ():
        size = "" if file.size is None else decimal(file.size)
        uploaded = "unknown" if file.upload_time is None else f"{file.upload_time:%Y-%m-%d %H:%M}"
        table.add_row(plain(file.filename), size, uploaded, file.decision, plain(file.sha256), plain(file.reason))
    if (more := found.file_count - sum(file.url is not None for file in found.files or ())) > 0:
        return Group(facts, table, Text(f"{count(more, 'older file')} more: /simple/{found.name}/"))
    return Group(facts, table)


def downloads(found: Downloads) -> View:
    """Return what was downloaded: how many, of what, by whom."""
    facts = _facts()
    whose = f" of {found.project}" if found.project else ""
    facts.add_row("downloads", f"{found.downloads:,}{whose}, {found.since} to {found.until}")
    facts.add_row("files", ", ".join(f"{share.downloads:,} {share.name}" for share in found.file_types) or "none yet")
    of = _shares("version", found.versions) if found.projects is None else _shares("project", found.projects)
    return Group(facts, of, _shares("client", found.clients))


def misses(found: Misses) -> View:
    """Return what was asked for in vain."""
    facts = _facts()
    facts.add_row("not here", f"{found.requests:,} requests, {found.since} to {found.until}")
    table = _table("project", "requests", "for its page", "for files", "last")
    for one in found.projects:
        table.add_row(one.name, f"{one.requests:,}", f"{one.pages:,}", f"{one.files:,}", str(one.last_day))
    return Group(facts, table)


def _shares(heading: str, shares: Sequence[Share] | None) -> Table:
    table = _table(heading, "downloads")
    for share in shares or ():
        version = share.version if isinstance(share, ClientShare) else ""
        table.add_row(f"{share.name} {version}".strip() or "unknown", f"{share.downloads:,}")
    return table


def tokens(found: Iterable[tuple[str, str, datetime]]) -> View:
    """Return a table of tokens: name, right, and when they were made."""
    table = _table("token", "right", "made")
    for name, right, created_at in found:
        table.add_row(name, right, f"{created_at:%Y-%m-%d %H:%M} UTC")
    return table


def schedule(found: Schedule) -> View:
    """Return the schedule in a sentence."""
    if found.cron is None:
        return "The schedule is off: runs come by hand alone."
    if found.paused:
        return "The schedule is paused: runs come by hand alone, until `mirrorctl resume`."
    return f"The next run comes {ago(found.next_run_at)} ({plain(found.cron)})."


def _failures(found: Sequence[Failure]) -> Table:
    table = _table("project", "reason")
    for one in found:
        table.add_row(plain(one.project), ": ".join(plain(part) for part in (one.file, one.reason) if part))
    return table


def _concern(one: Concern) -> tuple[View, View]:
    """Return what is wrong, and below it since when, what still works and what to do."""
    facts = _facts()
    if one.detail:
        facts.add_row("  why", plain(one.detail))
    if one.since:
        facts.add_row("  since", f"{ago(one.since)}, {one.since:%Y-%m-%d %H:%M} UTC")
    facts.add_row("  works", one.works)
    facts.add_row("  to do", one.remedy)
    return Text(f"! {one.title}", style=f"bold {_COLOURS[one.level]}"), facts


def _state(run: Run) -> Text:
    colours = {"succeeded": "green", "running": "cyan", "queued": "", "incomplete": "yellow"}
    return Text(run.state, style=colours.get(run.state, "red"))


def _progress(run: Run) -> str:
    counts = run.counts
    size = decimal(counts.bytes_fetched or counts.bytes_verified)
    told = f"{counts.projects_done:,} of {counts.projects_planned:,} projects, {size}"
    failed = counts.projects_failed + counts.projects_partial
    return f"{told}, {failed:,} failed or partial" if failed else told


def _took(run: Run) -> str:
    if run.started_at is None:
        return "–"
    seconds = ((run.finished_at or datetime.now(UTC)) - run.started_at).total_seconds()
    return f"{seconds:.1f} s" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min"


def _uptime(found: Status) -> str:
    return span((found.as_of - found.started_at).total_seconds())


def _next(found: Status) -> str:
    if not found.syncer_up:
        return "when the syncer is back"
    if found.schedule.paused:
        return "none: the schedule is paused"
    return ago(found.schedule.next_run_at) if found.schedule.cron else "none: the schedule is off"


def _facts() -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    return facts


def _table(*headings: str, padding: int = 2) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, padding, 0, 0))
    for heading in headings:
        # The last holds the longest words; what names the thing, for the next command, is never broken.
        table.add_column(heading, overflow="fold", no_wrap=heading != headings[-1])
    return table
