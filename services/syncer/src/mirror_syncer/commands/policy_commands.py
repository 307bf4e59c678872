"""The commands about ``mirror.toml``: what it would do, whether it is valid, and what is imported into it."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mirror_contract import RunKind, RunState
from mirror_contract.text import printable
from mirror_syncer.commands.import_choices import CheckAgainst, FileFormat, ImportAs
from mirror_syncer.errors import ConfigurationError, InvalidRequestError, MirrorError

if TYPE_CHECKING:
    from mirror_syncer.catalog import Catalog
    from mirror_syncer.config import Policy
    from mirror_syncer.config.mirror_toml.source import PolicySource
    from mirror_syncer.config.settings import Settings

Projects = Annotated[list[str] | None, typer.Argument(help="Only these projects; default: every selected project.")]


def plan(
    projects: Projects = None,
    *,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not contact upstream; the plan then has no estimate.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a sync would do, why, and how much it would download. Name projects to list their files."""
    from mirror_syncer.commands.console import (
        EXIT_CODES,
        fail,
        open_console,
        parse_request,
        run_to_completion,
        start_settings,
    )
    from mirror_syncer.service.assembly import open_catalog

    settings = start_settings()
    request = parse_request({"kind": RunKind.SYNC, "projects": projects or None})
    try:
        source = _policy(settings)
        catalog = open_catalog(settings)
        source.add(catalog.added_lines.in_force())
        source.release(catalog.exemptions.released(now=int(time.time())))
        source.follow(catalog.closures.in_force())
    except MirrorError as error:
        fail(error)
    if source.current.everything and request.projects is None:
        _show_amounts(catalog, source.current, warnings=source.state().warnings, as_json=as_json)
        return
    from mirror_syncer.commands.planning import make_report

    report = run_to_completion(
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
        report.show(open_console())
    raise typer.Exit(EXIT_CODES[RunState.INCOMPLETE] if report.failed else 0)


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
    from mirror_syncer.commands.checking import check_file
    from mirror_syncer.commands.console import fail, start_settings

    settings = start_settings()
    if requirements is not None:
        _check_requirements(settings, file, requirements, against, as_json=as_json)
    try:
        found = check_file(settings, file)
    except MirrorError as error:
        fail(error)
    typer.echo(found.model_dump_json() if as_json else "\n".join(map(printable, found.sentences())))
    raise typer.Exit(2 if found.problems else 0)


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
    from mirror_syncer.commands.bandersnatch_conf import convert, read_configuration
    from mirror_syncer.commands.console import fail
    from mirror_syncer.commands.whole_file import save_file

    try:
        conversion = convert(read_configuration(file))
        if conversion.document is not None and to is not None:
            save_file(conversion.document.encode(), to, replace=force)
    except MirrorError as error:
        fail(error)
    if conversion.document is not None and to is None:
        typer.echo(conversion.document, nl=False)
    typer.echo("\n".join(conversion.findings.lines()), err=True)
    if conversion.document is None:
        typer.echo("bandersnatch mirrors no file with this configuration, so no mirror.toml was written", err=True)
    raise typer.Exit(1 if conversion.findings.without_twin() else 0)


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
    from mirror_syncer.commands.console import fail
    from mirror_syncer.commands.importing import ImportOptions, import_into
    from mirror_syncer.config.settings import read_settings

    options = ImportOptions(form, as_, name, force=force, saves=not (dry_run or to_stdout))
    try:
        result = import_into(read_settings().policy, file, options)
    except MirrorError as error:
        fail(error)
    if to_stdout:
        typer.echo(result.document, nl=False)
    elif dry_run:
        typer.echo(result.diff(), nl=False)
    typer.echo("\n".join(map(printable, result.lines())), err=True)
    raise typer.Exit(1 if result.left_out else 0)


def _check_requirements(
    settings: "Settings", file: Path | None, requirements: Path, against: CheckAgainst, *, as_json: bool
) -> NoReturn:
    import asyncio

    from mirror_syncer.commands.checking import read_candidate
    from mirror_syncer.commands.console import fail, open_console, show_error
    from mirror_syncer.commands.importing.required_file import read_required
    from mirror_syncer.commands.requirements_check import check_requirements
    from mirror_syncer.service.assembly import open_catalog

    try:
        if str(file) == str(requirements) == "-":
            raise InvalidRequestError("only one of the two files can be standard input")
        required = read_required(requirements)
        policy = read_candidate(settings, file)
        catalog = open_catalog(settings)
    except MirrorError as error:
        fail(error)
    work = check_requirements(settings, required, policy=policy, catalog=catalog, against=against)
    try:
        result = asyncio.run(work)
    except ConfigurationError as error:
        fail(error)
    except MirrorError as error:
        show_error(error)
        raise typer.Exit(3) from None
    finally:
        catalog.close()
    if as_json:
        typer.echo(json.dumps(result.document(), indent=2))
    else:
        result.show(open_console())
    raise typer.Exit(0 if result.installs_everywhere else 1)


def _show_amounts(catalog: "Catalog", policy: "Policy", *, warnings: Sequence[str], as_json: bool) -> None:
    """Show how many projects a sync of the whole index would change, and name those that would leave."""
    from rich.table import Table

    from mirror_syncer.commands.console import open_console
    from mirror_syncer.runs.sync.plan import everything_amounts

    amounts = everything_amounts(catalog, policy, now=int(time.time()))
    catalog.close()
    if as_json:
        typer.echo(json.dumps([asdict(amount) for amount in amounts], indent=2))
        return
    table = Table("projects", "action", "why", box=None, pad_edge=False)
    for amount in amounts:
        table.add_row(f"{amount.projects:,}", amount.action, amount.reason)
    console = open_console()
    console.print(table)
    for warning in warnings:
        console.print(f"warning: {printable(warning)}", style="yellow", markup=False, highlight=False)
    for amount in amounts:
        if amount.leaving:
            more = amount.projects - len(amount.leaving)
            names = ", ".join(amount.leaving) + (f" and {more:,} more" if more else "")
            console.print(f"\n{amount.action} ({amount.reason}): {names}", markup=False, highlight=False)


def _policy(settings: "Settings") -> "PolicySource":
    """
    Return the policy in the file.

    Raises:
        PolicyError: the file cannot be used; unlike the service, a command does not use the last good policy.
    """
    from mirror_syncer.config.mirror_toml.source import PolicySource

    source = PolicySource(settings.policy, state=settings.state, keeps=False)
    if source.error is not None:
        raise source.error
    return source
