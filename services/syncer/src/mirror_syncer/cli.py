"""``mirror-syncer``: for whatever touches the tree."""

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from mirror_contract import RunKind, RunRequest, RunState, parse_project_name
from mirror_syncer.assembly import VERSION, open_catalog
from mirror_syncer.catalog import Catalog
from mirror_syncer.errors import ConfigurationError, MirrorError
from mirror_syncer.following import run_here_or_there
from mirror_syncer.logs import configure_logging
from mirror_syncer.planning import everything_amounts, plan_sync
from mirror_syncer.policy import read_policy
from mirror_syncer.service import serve as serve_until_stopped
from mirror_syncer.settings import Settings, read_settings

T = TypeVar("T")
app = typer.Typer(
    help="Fills a mirror of PyPI. Exit codes: 0 succeeded, 1 failed, 2 usage or configuration, 3 incomplete.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_EXIT = {RunState.SUCCEEDED: 0, RunState.INCOMPLETE: 3}

Projects = Annotated[list[str] | None, typer.Argument(help="These projects alone; all that are selected where absent.")]


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's own call
    if wanted:
        typer.echo(f"mirror-syncer {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Take what stands before the command."""


@app.command()
def serve() -> None:
    """Run the service: the schedule, the private API and the runs, until SIGTERM."""
    settings = _settings()
    _guarded(serve_until_stopped(settings))


@app.command()
def sync(
    projects: Projects = None,
    *,
    force: Annotated[bool, typer.Option(help="Forget validators; check that files are there.")] = False,
    allow_removals: Annotated[
        int | None, typer.Option(min=0, help="Remove up to so many projects, whatever the guard says.")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Yes, force everything.")] = False,
) -> None:
    """Bring the mirror, or the named projects, to what upstream has. Beside a running service, the service does it."""
    options = {"force": force, "allow_removals": allow_removals, "confirm": confirm}
    _run({"kind": RunKind.SYNC, "projects": projects or None, **options})


@app.command()
def verify(
    projects: Projects = None,
    *,
    repair: Annotated[bool, typer.Option(help="Fetch again what is wrong or missing.")] = False,
) -> None:
    """Hash published files and compare them with their pages."""
    _run({"kind": RunKind.VERIFY, "projects": projects or None, "repair": repair})


@app.command()
def plan(
    projects: Projects = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what a sync would do, and why. Asks nobody, changes nothing."""
    settings = _settings()
    try:
        policy = read_policy(settings.policy)
        catalog = open_catalog(settings)
    except ConfigurationError as error:
        _fail(error)
    request = _request({"kind": RunKind.SYNC, "projects": projects or None})
    if policy.everything and request.projects is None:
        _show_amounts(catalog, as_json=as_json)
        return
    rows = {row.name: row for row in catalog.projects.every()}
    only = None if request.projects is None else [parse_project_name(name) for name in request.projects]
    found = plan_sync(policy, rows, only=only)
    lines = [(step.name, "refresh", step.reason) for step in found.refresh]
    lines += [(name, "withdraw", "no longer selected in mirror.toml") for name in found.withdraw]
    lines += [(name, "withheld", "the deletion guard holds the removal back") for name in found.withheld]
    lines += [(name, "none", "not selected in mirror.toml") for name in found.unselected]
    catalog.close()
    if as_json:
        keys = ("project", "action", "reason")
        typer.echo(json.dumps([dict(zip(keys, line, strict=True)) for line in lines], indent=2))
        return
    table = Table("project", "action", "why", box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def _show_amounts(catalog: Catalog, *, as_json: bool) -> None:
    """Show what a sync of everything would do by what the last list said, in numbers: there are 890,000 projects."""
    lines = everything_amounts(catalog, now=int(time.time()))
    catalog.close()
    if as_json:
        keys = ("projects", "action", "reason")
        typer.echo(json.dumps([dict(zip(keys, line, strict=True)) for line in lines], indent=2))
        return
    table = Table("projects", "action", "why", box=None, pad_edge=False)
    for number, action, reason in lines:
        table.add_row(f"{number:,}", action, reason)
    Console().print(table)


def _settings() -> Settings:
    try:
        settings = read_settings()
    except ConfigurationError as error:
        _fail(error)
    configure_logging(level=settings.log_level, form=settings.log_format)
    return settings


def _request(values: dict[str, object]) -> RunRequest:
    try:
        return RunRequest.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            typer.echo(f"error: {item['msg'].removeprefix('Value error, ')}", err=True)
        raise typer.Exit(2) from None


def _run(values: dict[str, object]) -> None:
    request = _request(values)
    settings = _settings()
    document = _guarded(run_here_or_there(settings, request))
    raise typer.Exit(_EXIT.get(document.state, 1))


def _guarded(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; what the mirror knows to explain is one line and an exit code, not a traceback."""
    try:
        return asyncio.run(work)
    except MirrorError as error:
        _fail(error)


def _fail(error: MirrorError) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from None


def main() -> None:
    """Start here."""
    app()
