"""The command line, ``mirror-syncer``."""

import asyncio
import json
import os
import time
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from mirror_contract import RunKind, RunRequest, RunState
from mirror_contract.text import printable
from mirror_syncer.catalog import Catalog
from mirror_syncer.commands.follow import run_or_delegate
from mirror_syncer.commands.import_choices import CheckAgainst, FileFormat, ImportAs
from mirror_syncer.config import Policy, PolicySource
from mirror_syncer.config.settings import VERSION, Settings, read_settings
from mirror_syncer.errors import ConfigurationError, InvalidRequestError, MirrorError
from mirror_syncer.logs import configure_logging
from mirror_syncer.runs.sync.plan import everything_amounts
from mirror_syncer.service.assembly import open_catalog

T = TypeVar("T")
app = typer.Typer(
    help="Fill a mirror of PyPI. Exit codes: 0 succeeded, 1 failed, 2 usage or configuration, 3 incomplete.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_PIPE_COLUMNS = 20_000  # more than the longest line
_EXIT_CODES = {RunState.SUCCEEDED: 0, RunState.INCOMPLETE: 3}

Projects = Annotated[list[str] | None, typer.Argument(help="Only these projects; default: every selected project.")]


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
    """Parse the options before the command."""


@app.command()
def serve() -> None:
    """Run the service: the schedule, the private API and the runs, until SIGTERM."""
    from mirror_syncer.service.process import serve as serve_until_stopped  # noqa: PLC0415 - a sync needs no web server: 0.15 s

    settings = _settings()
    _run_to_completion(serve_until_stopped(settings))


@app.command()
def sync(
    projects: Projects = None,
    *,
    force: Annotated[bool, typer.Option(help="Download all pages again, and check that each file exists.")] = False,
    allow_removals: Annotated[
        int | None, typer.Option(min=0, help="Allow up to N removals, overriding the deletion guard.", metavar="N")
    ] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm --force for the whole index.")] = False,
) -> None:
    """Update the mirror, or the named projects, from upstream. A running service does the work, if there is one."""
    options = {"force": force, "allow_removals": allow_removals, "confirm": confirm}
    _run_request({"kind": RunKind.SYNC, "projects": projects or None, **options})


@app.command()
def verify(
    projects: Projects = None,
    *,
    repair: Annotated[
        bool, typer.Option(help="Re-download corrupt or missing files and remove orphaned ones.")
    ] = False,
    upstream: Annotated[bool, typer.Option("--upstream", help="Also compare each page with upstream.")] = False,
) -> None:
    """Hash the published files, compare them with their pages, and find orphaned files."""
    _run_request({"kind": RunKind.VERIFY, "projects": projects or None, "repair": repair, "upstream": upstream})


@app.command()
def collect(
    *,
    now: Annotated[bool, typer.Option("--now", help="Also delete files that are still in their grace period.")] = False,
) -> None:
    """Delete removed files after their grace period."""
    _run_request({"kind": RunKind.COLLECT, "now": now})


@app.command()
def plan(
    projects: Projects = None,
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not contact upstream; the plan then has no estimate.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a sync would do, why, and how much it would download. Name projects to list their files."""
    settings = _settings()
    request = _request({"kind": RunKind.SYNC, "projects": projects or None})
    try:
        source = _policy(settings)
        catalog = open_catalog(settings)
        source.release(catalog.exemptions.released(now=int(time.time())))
        source.follow(catalog.closures.in_force())
    except MirrorError as error:
        _fail(error)
    if source.current.everything and request.projects is None:
        _show_amounts(catalog, source.current, warnings=source.state().warnings, as_json=as_json)
        return
    from mirror_syncer.commands.planning import make_report  # noqa: PLC0415 - as above

    report = _run_to_completion(
        make_report(
            settings,
            request,
            policy=source.current,
            catalog=catalog,
            offline=offline,
            replaceable=source.replaceable,
            warnings=source.state().warnings,
        )
    )
    catalog.close()
    if as_json:
        typer.echo(json.dumps(report.document(), indent=2))
    else:
        report.show(_console())
    raise typer.Exit(_EXIT_CODES[RunState.INCOMPLETE] if report.failed else 0)


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="The policy file; - for standard input. Default: the file in use.")
    ] = None,
    *,
    requirements: Annotated[
        Path | None,
        typer.Option("--requirements", "-r", help="Check instead whether this file would install; - for stdin."),
    ] = None,
    against: Annotated[
        CheckAgainst,
        typer.Option("--from", help="With --requirements: from upstream by the policy, or from the mirror as it is."),
    ] = CheckAgainst.UPSTREAM,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Check a policy file: list each mistake with its line, and count the projects and files that would change.

    With --requirements: say whether requirements.txt, pyproject.toml, environment.yml or a lock would install together,
    machine by machine, before anything of it is mirrored. Nothing is changed.

    Exit codes: 0 valid, or installs on each machine; 1 does not install on some; 2 a file is wrong; 3 upstream failed.
    """
    from mirror_syncer.commands.checking import check_file  # noqa: PLC0415 - as above

    settings = _settings()
    if requirements is not None:
        _check_requirements(settings, file, requirements, against, as_json=as_json)
    try:
        found = check_file(settings, file)
    except MirrorError as error:
        _fail(error)
    typer.echo(found.model_dump_json() if as_json else "\n".join(map(printable, found.sentences())))
    raise typer.Exit(2 if found.problems else 0)


@app.command()
def adopt(
    *,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="The old tree, on the same file system. Default: the tree at MIRROR_DATA."),
    ] = None,
    hashing: Annotated[
        bool, typer.Option("--hash", help="Hash each file first, instead of in a verify afterwards.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Show what an adoption would do; change nothing.")] = False,
) -> None:
    """Adopt the tree of bandersnatch, shadowmire or another pypi-mirror, by hard links."""
    from mirror_syncer.commands.adoption import adopt as adopt_tree  # noqa: PLC0415 - as above

    settings = _settings()
    report = _run_to_completion(adopt_tree(settings, source=source, hashing=hashing, dry_run=dry_run))
    raise typer.Exit(3 if report.incomplete else 0)


@app.command()
def clear(
    place: Annotated[str, typer.Argument(help="A path below pypi/web, such as packages/ab/six-1.0.tar.gz.")],
) -> None:
    """Delete wrong content at a path that no page names. Stop the syncer first."""
    from mirror_syncer.commands.clearing import clear_place  # noqa: PLC0415 - as above

    settings = _settings()
    try:
        typer.echo(clear_place(settings, place))
    except MirrorError as error:
        _fail(error)


@app.command("import-config")
def import_config(
    file: Annotated[Path, typer.Argument(help="bandersnatch's configuration; - for standard input.")],
    *,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write mirror.toml to this file. Default: standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --to.")] = False,
) -> None:
    """
    Write a mirror.toml from a bandersnatch.conf, and list what became of each option.

    Exit codes: 0 each option has a twin, 1 some have none, 2 the file cannot be read.
    """
    from mirror_syncer.commands.bandersnatch_conf import convert, read_configuration  # noqa: PLC0415 - as above
    from mirror_syncer.commands.whole_file import save_file  # noqa: PLC0415 - as above

    try:
        conversion = convert(read_configuration(file))
        if conversion.document is not None and to is not None:
            save_file(conversion.document.encode(), to, replace=force)
    except MirrorError as error:
        _fail(error)
    if conversion.document is not None and to is None:
        typer.echo(conversion.document, nl=False)
    typer.echo("\n".join(conversion.findings.lines()), err=True)
    if conversion.document is None:
        typer.echo("bandersnatch mirrors no file with this configuration, so no mirror.toml was written", err=True)
    raise typer.Exit(1 if conversion.findings.without_twin() else 0)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="The file to import; - for standard input.")],
    *,
    form: Annotated[
        FileFormat | None, typer.Option("--format", help="The file's usual name. Default: its content tells.")
    ] = None,
    as_: Annotated[
        ImportAs | None, typer.Option("--as", help="Import requirements as a lock, or as lines. Default: see docs.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The lock's name in locks/. Default: the file's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a lock of that name.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Print what would change in mirror.toml; change nothing.")] = False,
    to_stdout: Annotated[
        bool, typer.Option("--print", help="Print the new mirror.toml; change nothing.", show_default=False)
    ] = False,
) -> None:
    """
    Add what an application requires to mirror.toml: as lines of projects, or as a lock.

    Exit codes: 0 all was taken, 1 some was left out, 2 nothing was written, since a file cannot be used.
    """
    from mirror_syncer.commands.importing import ImportOptions, import_into  # noqa: PLC0415 - as above

    options = ImportOptions(form, as_, name, force=force, saves=not (dry_run or to_stdout))
    try:
        result = import_into(read_settings().policy, file, options)
    except MirrorError as error:
        _fail(error)
    if to_stdout:
        typer.echo(result.document, nl=False)
    elif dry_run:
        typer.echo(result.diff(), nl=False)
    typer.echo("\n".join(map(printable, result.lines())), err=True)
    raise typer.Exit(1 if result.left_out else 0)


def _check_requirements(
    settings: Settings, file: Path | None, requirements: Path, against: CheckAgainst, *, as_json: bool
) -> NoReturn:
    from mirror_syncer.commands.checking import read_candidate  # noqa: PLC0415 - as above
    from mirror_syncer.commands.importing.required_file import read_required  # noqa: PLC0415
    from mirror_syncer.commands.requirements_check import check_requirements  # noqa: PLC0415

    try:
        if str(file) == str(requirements) == "-":
            raise InvalidRequestError("only one of the two files can be standard input")
        required = read_required(requirements)
        policy = read_candidate(settings, file)
        catalog = open_catalog(settings)
    except MirrorError as error:
        _fail(error)
    work = check_requirements(settings, required, policy=policy, catalog=catalog, against=against)
    try:
        result = asyncio.run(work)
    except ConfigurationError as error:
        _fail(error)
    except MirrorError as error:
        _show_error(error)
        raise typer.Exit(3) from None
    finally:
        catalog.close()
    if as_json:
        typer.echo(json.dumps(result.document(), indent=2))
    else:
        result.show(_console())
    raise typer.Exit(0 if result.installs_everywhere else 1)


def _show_amounts(catalog: Catalog, policy: Policy, *, warnings: Sequence[str], as_json: bool) -> None:
    """Show how many projects a sync of the whole index would change, and name those that would leave."""
    amounts = everything_amounts(catalog, policy, now=int(time.time()))
    catalog.close()
    if as_json:
        typer.echo(json.dumps([asdict(amount) for amount in amounts], indent=2))
        return
    table = Table("projects", "action", "why", box=None, pad_edge=False)
    for amount in amounts:
        table.add_row(f"{amount.projects:,}", amount.action, amount.reason)
    console = _console()
    console.print(table)
    for warning in warnings:
        console.print(f"warning: {printable(warning)}", style="yellow", markup=False, highlight=False)
    for amount in amounts:
        if amount.leaving:
            more = amount.projects - len(amount.leaving)
            names = ", ".join(amount.leaving) + (f" and {more:,} more" if more else "")
            console.print(f"\n{amount.action} ({amount.reason}): {names}", markup=False, highlight=False)


def _console() -> Console:
    """Return a console for standard output; in a pipe, lines are long enough for each cell."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_COLUMNS)


def _settings() -> Settings:
    try:
        settings = read_settings()
    except ConfigurationError as error:
        _fail(error)
    configure_logging(level=settings.log_level, form=settings.log_format)
    return settings


def _policy(settings: Settings) -> PolicySource:
    """
    Return the policy in the file.

    Raises:
        PolicyError: the file cannot be used; unlike the service, a command does not use the last good policy.
    """
    source = PolicySource(settings.policy, state=settings.state, keeps=False)
    if source.error is not None:
        raise source.error
    return source


def _request(values: dict[str, object]) -> RunRequest:
    try:
        return RunRequest.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            typer.echo(f"error: {item['msg'].removeprefix('Value error, ')}", err=True)
        raise typer.Exit(2) from None


def _run_request(values: dict[str, object]) -> None:
    request = _request(values)
    settings = _settings()
    document = _run_to_completion(run_or_delegate(settings, request))
    raise typer.Exit(_EXIT_CODES.get(document.state, 1))


def _run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; print a MirrorError as one line, without a traceback, and exit."""
    try:
        return asyncio.run(work)
    except MirrorError as error:
        _fail(error)


def _fail(error: MirrorError) -> NoReturn:
    _show_error(error)
    raise typer.Exit(2 if isinstance(error, ConfigurationError | InvalidRequestError) else 1) from None


def _show_error(error: MirrorError) -> None:
    # The message may quote upstream, whose text must not control the terminal.
    typer.echo("\n".join(map(printable, f"error: {error}".splitlines())), err=True)


def main() -> None:
    """Run the command line."""
    # Everybody may read the tree, since nginx and rsync are other users. Private files set their own mode.
    os.umask(0o022)
    app()
