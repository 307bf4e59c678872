"""The commands of ``mirrorctl``, one for each call of the API."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from mirror_contract import (
    PolicyCandidate,
    ProjectSort,
    ProjectState,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Trigger,
    parse_project_name,
)
from mirror_contract.text import printable
from mirror_control.client.api_client import ApiClient
from mirror_control.client.download_schemas import DownloadFilter, MissFilter
from mirror_control.client.health import assess_health
from mirror_control.client.issue import HealthLevel
from mirror_control.client.schemas import ProjectFilter, RunFilter, UnmetFilter
from mirrorctl import dependency_views, views
from mirrorctl.api_call import FAILED, INCOMPLETE, INTERRUPTED, USAGE, call_control, fail, find_token, parse_options
from mirrorctl.follow import exit_with, follow
from mirrorctl.options import After, AsJson, Follow, Limit, Projects, Since, Top
from mirrorctl.policy_commands import held, release
from mirrorctl.selection_commands import add, remove, selection
from mirrorctl.token_commands import token
from mirrorctl.views import show, show_page

_EXIT_CODES = {HealthLevel.ALARM: FAILED, HealthLevel.WARNING: INCOMPLETE}

main = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # print errors as a line, not in a box
    help="Inspect and control a mirror. Outside control's container, pass the mirror's address (--url). There, misses, "
    "releases, the selection and all commands that change something also need a token (environment variable "
    "MIRROR_TOKEN). Commands that change something print text on a terminal and the API's JSON into a pipe.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 incomplete (--follow, status --check), "
    "130 interrupted.",
)


main.add_typer(token)
main.command()(held)
main.command()(release)
main.command()(add)
main.command()(remove)
main.command()(selection)


@main.callback()
def _remember_url(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="MIRRORCTL_URL", metavar="URL", help="Address of the mirror or of control.")
    ] = "http://127.0.0.1:8081",
) -> None:
    context.obj = url


@main.command()
def status(
    context: typer.Context,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 3 if a person should look soon, with 1 if updates have stopped."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show whether the mirror is fresh, complete and has free space."""
    found = call_control(context.obj, lambda control: control.get_status())
    show(found, views.status(found), as_json=as_json)
    if check and (code := _EXIT_CODES.get(assess_health(found, now=datetime.now(UTC)).worst_level)):
        raise typer.Exit(code)


@main.command()
def sync(
    context: typer.Context,
    projects: Projects = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Request all pages again, and check that all files exist.")
    ] = False,
    allow_removals: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Allow up to N removals, overriding the deletion guard.")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm --force for the whole index.")] = False,
    follow_run: Follow = False,
) -> None:
    """
    Update projects, or the whole mirror, from upstream.

    Without --follow, it only queues a run and prints its id. If an equal run is already queued, it prints that one.
    """
    options = {"force": force, "allow_removals": allow_removals, "confirm": confirm}
    _start_run(context, RunKind.SYNC, projects, options, follow_run=follow_run)


@main.command()
def verify(
    context: typer.Context,
    projects: Projects = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Re-download corrupt or missing files and remove orphaned ones.")
    ] = False,
    upstream: Annotated[bool, typer.Option("--upstream", help="Also compare each page with upstream.")] = False,
    follow_run: Follow = False,
) -> None:
    """
    Hash the published files of projects, or of the whole mirror.

    For the whole mirror, it also searches for orphaned files, which no page lists.
    """
    _start_run(context, RunKind.VERIFY, projects, {"repair": repair, "upstream": upstream}, follow_run=follow_run)


@main.command()
def collect(
    context: typer.Context,
    *,
    now: Annotated[bool, typer.Option("--now", help="Also delete files whose grace period is not over yet.")] = False,
    follow_run: Follow = False,
) -> None:
    """
    Delete files that no page lists and whose grace period is over.

    Each sync does so, too. With --now, the space is free at once, and clients can no longer download these files.
    """
    _start_run(context, RunKind.COLLECT, None, {"now": now}, follow_run=follow_run)


@main.command()
def runs(
    context: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="Show only this run, with its failures.")] = None,
    *,
    state: Annotated[list[RunState] | None, typer.Option(help="Only this state (repeatable).")] = None,
    kind: Annotated[RunKind | None, typer.Option(help="Only this kind.")] = None,
    trigger: Annotated[list[Trigger] | None, typer.Option(help="Only runs of this origin (repeatable).")] = None,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs that name it, changed it, or failed to.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="Only runs created on or after this day, in UTC."),
    ] = None,
    limit: Limit = 20,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first, or show one."""
    if run_id is not None:
        run = call_control(context.obj, lambda control: control.get_run(run_id))
        return show(run, views.run(run), as_json=as_json)
    filters = {"state": state or [], "trigger": trigger or [], "kind": kind, "project": project, "since": since}
    wanted = parse_options(RunFilter, **filters, limit=limit, after=after)
    page = call_control(context.obj, lambda control: control.list_runs(wanted))
    return show_page(page, views.runs(page.items), as_json=as_json)


@main.command()
def cancel(context: typer.Context, run_id: Annotated[str, typer.Argument(metavar="RUN")]) -> None:
    """
    Cancel a run; what it has already published stays.

    The run ends within seconds. After five seconds it aborts open requests; the next run repeats them.
    """
    run = call_control(context.obj, lambda control: control.cancel_run(run_id), token=find_token())
    text = f"Run {run.id} is {run.state}" + ("." if run.state.ended else ", and ends within seconds.")
    show(run, text, as_json=views.is_piped())


@main.command()
def pause(context: typer.Context) -> None:
    """Pause scheduled runs; runs that a person requests still start."""
    _change_schedule(context, "pause")


@main.command()
def resume(context: typer.Context) -> None:
    """Resume scheduled runs."""
    _change_schedule(context, "resume")


@main.command()
def projects(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="PROJECT", help="Show only this project, with its files.")
    ] = None,
    *,
    state: Annotated[list[ProjectState] | None, typer.Option(help="Only this state (repeatable).")] = None,
    search: Annotated[str | None, typer.Option(help="Part of the names; the best match comes first.")] = None,
    sort: Annotated[ProjectSort | None, typer.Option(help="Order of the list.")] = None,
    unmet: Annotated[
        bool, typer.Option("--unmet", help="List requirements that are not met here, of all projects or of one.")
    ] = False,
    limit: Limit = 50,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """
    List projects, or show why one is or is not mirrored.

    Of one project, it also shows why each release is here, what it requires, and who requires it.
    """
    if unmet:
        if state or search or sort:
            fail("--unmet lists requirements; use it without --state, --search and --sort", code=USAGE)
        which = parse_options(UnmetFilter, project=name, limit=limit, after=after)
        found = call_control(context.obj, lambda control: control.list_unmet(which))
        return show_page(found, dependency_views.unmet(found.items), as_json=as_json)
    if name is not None:
        normalized = _normalize(name)
        project = call_control(context.obj, lambda control: control.get_project(normalized))
        return show(project, views.project(project), as_json=as_json)
    wanted = parse_options(ProjectFilter, state=state or [], q=search or None, sort=sort, limit=limit, after=after)
    page = call_control(context.obj, lambda control: control.list_projects(wanted))
    return show_page(page, views.projects(page.items), as_json=as_json)


@main.command()
def check(
    context: typer.Context,
    file: Annotated[
        typer.FileText,
        typer.Argument(metavar="FILE", encoding="utf-8", help="A candidate for mirror.toml; - reads standard input."),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Check a candidate for mirror.toml; this changes nothing.

    It prints each mistake with its line, or how many projects and files would change, and the ten largest changes.
    It needs a token with the right read.
    """
    try:
        candidate = PolicyCandidate(text=file.read())
    except UnicodeDecodeError:
        fail(f"{file.name} is not UTF-8; save it as UTF-8", code=USAGE)
    found = call_control(context.obj, lambda control: control.check_policy(candidate), token=find_token())
    show(found, "\n".join(map(printable, found.sentences())), as_json=as_json)
    if found.problems:
        raise typer.Exit(USAGE)


@main.command()
def downloads(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="PROJECT", help="Only this project, by version.")] = None,
    *,
    since: Since = None,
    top: Top = 20,
    as_json: AsJson = False,
) -> None:
    """Show downloads by project, version and client."""
    wanted = DownloadFilter(project=name and _normalize(name), since=since and since.date(), top=top)
    found = call_control(context.obj, lambda control: control.get_downloads(wanted))
    show(found, views.downloads(found), as_json=as_json)


@main.command()
def misses(context: typer.Context, *, since: Since = None, top: Top = 20, as_json: AsJson = False) -> None:
    """Show requests for projects and files that are not here."""
    wanted = MissFilter(since=since and since.date(), top=top)
    found = call_control(context.obj, lambda control: control.get_misses(wanted), token=find_token())
    show(found, views.misses(found), as_json=as_json)


def _change_schedule(context: typer.Context, action: Literal["pause", "resume"]) -> None:
    schedule = call_control(context.obj, lambda control: control.change_schedule(action), token=find_token())
    show(schedule, views.schedule(schedule), as_json=views.is_piped())


def _start_run(
    context: typer.Context,
    kind: RunKind,
    projects: list[str] | None,
    options: dict[str, bool | int | None],
    *,
    follow_run: bool,
) -> None:
    run_request = parse_options(RunRequest, kind=kind, projects=projects or None, **options)

    async def start(control: ApiClient) -> Run:
        run = await control.start_run(run_request, trigger=Trigger.CLI)
        return await follow(control, run) if follow_run else run

    try:
        run = call_control(context.obj, start, token=find_token())
    except KeyboardInterrupt:
        fail("the run continues; `mirrorctl runs` shows it", code=INTERRUPTED)
    if not follow_run:
        return show(run, f"Run {run.id} is {run.state}; `mirrorctl runs {run.id}` shows it.", as_json=views.is_piped())
    return exit_with(run)


def _normalize(spelling: str) -> str:
    try:
        return parse_project_name(spelling)
    except ValueError as error:
        fail(str(error), code=USAGE)
