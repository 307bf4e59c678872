"""``mirrorctl``: the API for people and scripts, a command a call."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from mirror_contract import (
    PolicyCandidate,
    ProjectState,
    Run,
    RunKind,
    RunRequest,
    RunState,
    Trigger,
    parse_project_name,
)
from mirror_contract.text import plain
from mirror_control.client.api_client import ApiClient
from mirror_control.client.concerns import Level
from mirror_control.client.download_shapes import DownloadFilter, MissFilter
from mirror_control.client.shapes import Item, Page, ProjectFilter, RunFilter
from mirror_control.client.verdict import judge
from mirrorctl import views
from mirrorctl.conversation import FAILED, INCOMPLETE, INTERRUPTED, USAGE, ask, fail, find_token, validated
from mirrorctl.follow import follow
from mirrorctl.options import After, AsJson, Follow, Limit, Projects, Since, Top
from mirrorctl.token_commands import token

_CODES = {Level.ALARM: FAILED, Level.WARNING: INCOMPLETE}

main = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # an error is a line, not a box
    help="Look at a mirror and steer it. Outside control's container, give the mirror's address (--url). Commands that "
    "change something, and misses, also need a token there (the variable MIRROR_TOKEN). What changes something answers "
    "in words on a terminal, and in the API's JSON in a pipe.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 incomplete (--follow, status --check), "
    "130 interrupted.",
)


main.add_typer(token)


@main.callback()
def _remember_url(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="MIRRORCTL_URL", metavar="URL", help="The mirror's or control's address.")
    ] = "http://127.0.0.1:8081",
) -> None:
    context.obj = url


@main.command()
def status(
    context: typer.Context,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 3 where someone should look, 1 where nothing new comes until then."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show whether the mirror is fresh, complete and has room."""
    found = ask(context.obj, lambda control: control.status())
    _show(found, views.status(found), as_json=as_json)
    if check and (code := _CODES.get(judge(found, now=datetime.now(UTC)).gravest)):
        raise typer.Exit(code)


@main.command()
def sync(
    context: typer.Context,
    projects: Projects = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Fetch all pages anew, check that files are there.")] = False,
    allow_removals: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Remove up to so many projects, whatever the guard says.")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Yes, force all that upstream lists.")] = False,
    following: Follow = False,
) -> None:
    """
    Bring projects, or the whole mirror, to what upstream has.

    Without --follow it asks for a run, says its id, and is done. An equal run that waits already is taken instead.
    """
    options = {"force": force, "allow_removals": allow_removals, "confirm": confirm}
    _start(context, RunKind.SYNC, projects, options, following=following)


@main.command()
def verify(
    context: typer.Context,
    projects: Projects = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch again what is wrong or missing; let go what nothing names.")
    ] = False,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Also compare each page with what upstream promises.")
    ] = False,
    following: Follow = False,
) -> None:
    """
    Hash what is published, of projects or the whole mirror.

    Of the whole mirror it also looks for files that nothing names.
    """
    _start(context, RunKind.VERIFY, projects, {"repair": repair, "upstream": upstream}, following=following)


@main.command()
def collect(
    context: typer.Context,
    *,
    now: Annotated[bool, typer.Option("--now", help="Also delete files whose grace period is not over yet.")] = False,
    following: Follow = False,
) -> None:
    """
    Delete files that no page names and whose grace period is over.

    Each sync does so as well. With --now the room is free at once, and clients can no longer download these files.
    """
    _start(context, RunKind.COLLECT, None, {"now": now}, following=following)


@main.command()
def runs(
    context: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="One, with its failures.")] = None,
    *,
    state: Annotated[list[RunState] | None, typer.Option(help="Any of these.")] = None,
    kind: Annotated[RunKind | None, typer.Option(help="Of this kind alone.")] = None,
    trigger: Annotated[list[Trigger] | None, typer.Option(help="Who asked for it: any of these.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="From this day on, in UTC.")
    ] = None,
    limit: Limit = 20,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first, or look at one."""
    if run_id is not None:
        run = ask(context.obj, lambda control: control.run(run_id))
        return _show(run, views.run(run), as_json=as_json)
    asked = {"state": state or [], "trigger": trigger or [], "kind": kind, "since": since}
    wanted = validated(RunFilter, **asked, limit=limit, after=after)
    page = ask(context.obj, lambda control: control.runs(wanted))
    return _show_part(page, views.runs(page.items), as_json=as_json)


@main.command()
def cancel(context: typer.Context, run_id: Annotated[str, typer.Argument(metavar="RUN")]) -> None:
    """
    Let a run end early; what it has published stays.

    It ends within seconds: what still waits for upstream after five is given up, and comes with the next run.
    """
    run = ask(context.obj, lambda control: control.cancel(run_id), token=find_token())
    told = f"Run {run.id} is {run.state}" + ("." if run.state.ended else ", and ends within seconds.")
    _show(run, told, as_json=views.piped())


@main.command()
def pause(context: typer.Context) -> None:
    """Start no more runs by the clock; those asked for go on."""
    _hold(context, "pause")


@main.command()
def resume(context: typer.Context) -> None:
    """Start runs by the clock again."""
    _hold(context, "resume")


@main.command()
def projects(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="PROJECT", help="One, with its files.")] = None,
    *,
    state: Annotated[list[ProjectState] | None, typer.Option(help="Any of these.")] = None,
    search: Annotated[str | None, typer.Option(help="What names begin with.")] = None,
    limit: Limit = 50,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List what is mirrored, or say why a project is or isn't."""
    if name is not None:
        known_as = _name(name)
        project = ask(context.obj, lambda control: control.project(known_as))
        return _show(project, views.project(project), as_json=as_json)
    wanted = validated(ProjectFilter, state=state or [], q=search or None, limit=limit, after=after)
    page = ask(context.obj, lambda control: control.projects(wanted))
    return _show_part(page, views.projects(page.items), as_json=as_json)


@main.command()
def check(
    context: typer.Context,
    file: Annotated[
        typer.FileText,
        typer.Argument(metavar="FILE", encoding="utf-8", help="A candidate for mirror.toml; -: standard input."),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """
    Check a candidate for mirror.toml; this changes nothing.

    It names each mistake with its line, and how many projects would change. A token with the right read is enough.
    """
    try:
        candidate = PolicyCandidate(text=file.read())
    except UnicodeDecodeError:
        fail(f"{file.name} is not UTF-8; save it as UTF-8", code=USAGE)
    found = ask(context.obj, lambda control: control.check_policy(candidate), token=find_token())
    _show(found, "\n".join(map(plain, found.sentences())), as_json=as_json)
    if found.problems:
        raise typer.Exit(USAGE)


@main.command()
def downloads(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="PROJECT", help="Of one, by version.")] = None,
    *,
    since: Since = None,
    top: Top = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was downloaded from here, and by which clients."""
    wanted = DownloadFilter(project=name and _name(name), since=since and since.date(), top=top)
    found = ask(context.obj, lambda control: control.downloads(wanted))
    _show(found, views.downloads(found), as_json=as_json)


@main.command()
def misses(context: typer.Context, *, since: Since = None, top: Top = 20, as_json: AsJson = False) -> None:
    """Show what was asked for and is not here."""
    wanted = MissFilter(since=since and since.date(), top=top)
    found = ask(context.obj, lambda control: control.misses(wanted), token=find_token())
    _show(found, views.misses(found), as_json=as_json)


@main.command()
def _hold(context: typer.Context, action: Literal["pause", "resume"]) -> None:
    schedule = ask(context.obj, lambda control: control.schedule(action), token=find_token())
    _show(schedule, views.schedule(schedule), as_json=views.piped())


def _start(
    context: typer.Context,
    kind: RunKind,
    projects: list[str] | None,
    options: dict[str, bool | int | None],
    *,
    following: bool,
) -> None:
    run_request = validated(RunRequest, kind=kind, projects=projects or None, **options)

    async def conversation(control: ApiClient) -> Run:
        run = await control.start(run_request, trigger=Trigger.CLI)
        return await follow(control, run) if following else run

    try:
        run = ask(context.obj, conversation, token=find_token())
    except KeyboardInterrupt:
        fail("the run goes on; `mirrorctl runs` shows it", code=INTERRUPTED)
    if not following:
        return _show(run, f"Run {run.id} is {run.state}; `mirrorctl runs {run.id}` shows it.", as_json=views.piped())
    if not views.piped():
        views.show(views.run(run))
    match run.state:
        case RunState.SUCCEEDED:
            return None
        case RunState.INCOMPLETE:
            raise typer.Exit(INCOMPLETE)
        case _:
            raise typer.Exit(FAILED)


def _name(spelling: str) -> str:
    try:
        return parse_project_name(spelling)
    except ValueError as error:
        fail(str(error), code=USAGE)


def _show(answer: BaseModel, view: views.View, *, as_json: bool) -> None:
    if as_json:
        typer.echo(answer.model_dump_json(exclude_none=True))
    else:
        views.show(view)


def _show_part(page: Page[Item], view: views.View, *, as_json: bool) -> None:
    _show(page, view, as_json=as_json)
    if page.next is not None and not as_json:
        typer.echo(f"more: --after {plain(page.next)}")  # one line, which a terminal folds and a mouse copies whole
