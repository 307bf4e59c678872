"""
``mirrorctl``: the API for people and scripts.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 incomplete.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Literal, NoReturn, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from mirror_contract import ProjectState, Run, RunKind, RunRequest, RunState, Trigger, parse_project_name
from mirror_control import views
from mirror_control.api_client import ApiClient, ApiError, Refused, Unreachable
from mirror_control.downloads.shapes import DownloadFilter, MissFilter
from mirror_control.follow import follow
from mirror_control.settings import Settings, SettingsError
from mirror_control.shapes import ProjectFilter, RunFilter
from mirror_control.token import TokenError
from mirror_control.verdict import Level, judge
from mirror_control.words import plain

Answer = TypeVar("Answer")

FAILED, USAGE, INCOMPLETE, INTERRUPTED = 1, 2, 3, 130
_CODES = {Level.ALARM: FAILED, Level.WARNING: INCOMPLETE}

# A call that control passes on takes up to five seconds; the way to it may be long.
_LIMIT = 15.0

main = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # an error is a line, not a box
    help="Look at a mirror and steer it. Elsewhere than in control's container, "
    "give its address (--url) and its token (the variable MIRROR_TOKEN).",
)

Projects = Annotated[list[str] | None, typer.Argument(metavar="PROJECT", help="These alone.", show_default=False)]
Follow = Annotated[bool, typer.Option("--follow", help="Stay until it ends; its outcome is the exit code.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The first day, in UTC; without it 29 days ago."),
]
Top = Annotated[int, typer.Option(min=1, max=1000, help="How many of each list, the largest.")]
Limit = Annotated[int, typer.Option(min=1, max=200, help="At most so many.")]


@main.callback()
def _remember_url(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="MIRRORCTL_URL", help="The mirror's or control's address.")
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
    """Show at one look whether the mirror is fresh, complete and has room."""
    found = _ask(context, lambda control: control.status())
    _show(found, views.status(found), as_json=as_json)
    if check and (code := _CODES.get(judge(found, now=datetime.now(UTC)).level)):
        raise typer.Exit(code)


@main.command()
def sync(
    context: typer.Context,
    projects: Projects = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Fetch all pages anew, check that files are there.")] = False,
    allow_removals: Annotated[int | None, typer.Option(min=0, help="Remove up to so many projects.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Yes, force everything.")] = False,
    following: Follow = False,
) -> None:
    """Bring projects, or the whole mirror, to what upstream has."""
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
    following: Follow = False,
) -> None:
    """Hash the published files of projects, or of the whole mirror, and there look for files that nothing names."""
    _start(context, RunKind.VERIFY, projects, {"repair": repair}, following=following)


@main.command()
def runs(
    context: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="One, with its failures.")] = None,
    *,
    state: Annotated[list[RunState] | None, typer.Option(help="Any of these.")] = None,
    kind: RunKind | None = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first, or look at one."""
    if run_id is not None:
        run = _ask(context, lambda control: control.run(run_id))
        return _show(run, views.run(run), as_json=as_json)
    wanted = RunFilter(state=state or [], kind=kind, limit=limit)
    page = _ask(context, lambda control: control.runs(wanted))
    return _show(page, views.runs(page.items), as_json=as_json)


@main.command()
def cancel(context: typer.Context, run_id: Annotated[str, typer.Argument(metavar="RUN")]) -> None:
    """Let a run end after the projects that it has in hand; what it has published stays."""
    run = _ask(context, lambda control: control.cancel(run_id), token=_token())
    told = f"Run {run.id} is {run.state}" + ("." if run.state.ended else ", and ends after what it has in hand.")
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
    as_json: AsJson = False,
) -> None:
    """List what is mirrored, or look at one project."""
    if name is not None:
        known_as = _name(name)
        project = _ask(context, lambda control: control.project(known_as))
        return _show(project, views.project(project), as_json=as_json)
    wanted = ProjectFilter(state=state or [], q=search or None, limit=limit)
    page = _ask(context, lambda control: control.projects(wanted))
    return _show(page, views.projects(page.items), as_json=as_json)


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
    found = _ask(context, lambda control: control.downloads(wanted))
    _show(found, views.downloads(found), as_json=as_json)


@main.command()
def misses(context: typer.Context, *, since: Since = None, top: Top = 20, as_json: AsJson = False) -> None:
    """Show what was asked for and is not here."""
    wanted = MissFilter(since=since and since.date(), top=top)
    found = _ask(context, lambda control: control.misses(wanted))
    _show(found, views.misses(found), as_json=as_json)


@main.command()
def token() -> None:
    """Show the token that changing calls need."""
    typer.echo(_token())


@main.command()
def serve() -> None:
    """Run control itself: the container's process."""
    from mirror_control import server  # noqa: PLC0415 the web framework would double a command's start

    server.serve()


def _hold(context: typer.Context, action: Literal["pause", "resume"]) -> None:
    schedule = _ask(context, lambda control: control.schedule(action), token=_token())
    _show(schedule, views.schedule(schedule), as_json=views.piped())


def _start(
    context: typer.Context,
    kind: RunKind,
    projects: list[str] | None,
    options: dict[str, bool | int | None],
    *,
    following: bool,
) -> None:
    given = {option: value for option, value in options.items() if value not in (None, False)}
    try:
        wanted = RunRequest.model_validate({"kind": kind, "projects": projects or None, **given})
    except ValidationError as error:
        _fail("; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors()), code=USAGE)

    async def conversation(control: ApiClient) -> Run:
        run = await control.start(wanted, trigger=Trigger.CLI)
        return await follow(control, run) if following else run

    try:
        run = _ask(context, conversation, token=_token())
    except KeyboardInterrupt:
        _fail("the run goes on; `mirrorctl runs` shows it", code=INTERRUPTED)
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


def _ask(
    context: typer.Context, conversation: Callable[[ApiClient], Awaitable[Answer]], *, token: str | None = None
) -> Answer:
    """Talk with control; what goes wrong becomes one line that says what to do, and an exit code."""
    url: str = context.obj

    async def talk() -> Answer:
        async with ApiClient(base=f"{url.rstrip('/')}/api/v1/", limit=_LIMIT, token=token) as control:
            return await conversation(control)

    try:
        return asyncio.run(talk())
    except Refused as error:
        _fail(str(error), code=USAGE if error.problem.status == 422 else FAILED)  # noqa: PLR2004 a wrong call
    except Unreachable as error:
        _fail(f"{url} does not answer ({error}): `docker compose ps control`, or another --url", code=FAILED)
    except ApiError as error:
        _fail(f"{url} is no mirror's control ({error}): check --url", code=FAILED)
    except ValueError as error:
        _fail(f"--url {url}: {error}", code=USAGE)


def _name(spelling: str) -> str:
    try:
        return parse_project_name(spelling)
    except ValueError as error:
        _fail(str(error), code=USAGE)


def _token() -> str:
    if given := os.environ.get("MIRROR_TOKEN", "").strip():
        return given
    try:
        return Settings.load().token_file.current().decode()
    except (SettingsError, TokenError) as error:
        _fail(f"no token: set MIRROR_TOKEN, or run this in control's container ({error})", code=USAGE)


def _show(answer: BaseModel, view: views.View, *, as_json: bool) -> None:
    if as_json:
        typer.echo(answer.model_dump_json(exclude_none=True))
    else:
        views.show(view)


def _fail(told: str, *, code: int) -> NoReturn:
    typer.echo(f"mirrorctl: {plain(told)}", err=True)
    raise typer.Exit(code)
