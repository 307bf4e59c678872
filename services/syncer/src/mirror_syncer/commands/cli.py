"""
The command line, ``mirror-syncer``.

Each command imports what it needs when it runs, so that ``--help`` imports no library but typer.
"""

import gc
import os
from pathlib import Path
from typing import Annotated

import typer

from mirror_contract import RunKind
from mirror_syncer.commands.policy_commands import Projects, check, import_config, import_file, plan

app = typer.Typer(
    help="Fill a mirror of PyPI. Exit codes: 0 succeeded, 1 failed, 2 usage or configuration, 3 incomplete.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's own call
    if wanted:
        from mirror_syncer.config.settings import VERSION

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
    from mirror_syncer.commands.console import run_to_completion, start_settings
    from mirror_syncer.service.process import serve as serve_until_stopped

    settings = start_settings()
    run_to_completion(serve_until_stopped(settings))


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


app.command()(plan)
app.command()(check)


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
    from mirror_syncer.commands.adoption import adopt as adopt_tree
    from mirror_syncer.commands.console import run_to_completion, start_settings

    settings = start_settings()
    report = run_to_completion(adopt_tree(settings, source=source, hashing=hashing, dry_run=dry_run))
    raise typer.Exit(3 if report.incomplete else 0)


@app.command()
def clear(
    place: Annotated[str, typer.Argument(help="A path below pypi/web, such as packages/ab/six-1.0.tar.gz.")],
) -> None:
    """Delete wrong content at a path that no page names. Stop the syncer first."""
    from mirror_syncer.commands.clearing import clear_place
    from mirror_syncer.commands.console import fail, start_settings
    from mirror_syncer.errors import MirrorError

    settings = start_settings()
    try:
        typer.echo(clear_place(settings, place))
    except MirrorError as error:
        fail(error)


@app.command("migrate-catalog")
def migrate_catalog(
    to: Annotated[
        str, typer.Option("--to", help="An empty database, postgresql://USER@HOST:PORT/DATABASE; or sqlite.")
    ],
) -> None:
    """Copy the catalog to PostgreSQL, or back to SQLite. Stop the syncer first."""
    from mirror_syncer.commands.catalog_migration import migrate_catalog as migrate
    from mirror_syncer.commands.console import fail, start_settings
    from mirror_syncer.errors import MirrorError

    settings = start_settings()
    try:
        typer.echo(migrate(settings, to))
    except MirrorError as error:
        fail(error)


app.command("import-config")(import_config)
app.command("import")(import_file)


def _run_request(values: dict[str, object]) -> None:
    from mirror_syncer.commands.console import EXIT_CODES, parse_request, run_to_completion, start_settings
    from mirror_syncer.commands.follow import run_or_delegate

    request = parse_request(values)
    settings = start_settings()
    document = run_to_completion(run_or_delegate(settings, request))
    raise typer.Exit(EXIT_CODES.get(document.state, 1))


def main() -> None:
    """Run the command line."""
    # Everybody may read the tree, since nginx and rsync are other users. Private files set their own mode.
    os.umask(0o022)
    # The many objects of modules make its passes long, and none of them is garbage; the command enables it again.
    gc.disable()
    app()
