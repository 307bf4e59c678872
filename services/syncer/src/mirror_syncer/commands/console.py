"""What all commands share: the settings, the console, and how an error ends them."""

import mirror_syncer.logs  # before all others, so that structlog comes without rich

# isort: split
import asyncio
import gc
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError

from mirror_contract import RunRequest, RunState
from mirror_contract.text import printable
from mirror_syncer.config.settings import Settings, read_settings
from mirror_syncer.errors import ConfigurationError, InvalidRequestError, MirrorError

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
EXIT_CODES = {RunState.SUCCEEDED: 0, RunState.INCOMPLETE: 3}
"""Of the runs that do not fail."""
_PIPE_COLUMNS = 20_000  # more than the longest line


def open_console() -> "Console":
    """Return a console for standard output; in a pipe, lines are long enough for each cell."""
    from rich.console import Console  # noqa: PLC0415 - most commands print lines only

    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_COLUMNS)


def start_settings() -> Settings:
    """Return the settings, and log as they say."""
    try:
        settings = read_settings()
    except ConfigurationError as error:
        fail(error)
    mirror_syncer.logs.configure_logging(level=settings.log_level, form=settings.log_format)
    return settings


def parse_request(values: dict[str, object]) -> RunRequest:
    """Return a valid request; a wrong one ends the command."""
    try:
        return RunRequest.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            typer.echo(f"error: {item['msg'].removeprefix('Value error, ')}", err=True)
        raise typer.Exit(2) from None


def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; print a MirrorError as one line, without a traceback, and exit."""
    # What was imported stays for as long as the command runs, so the collector need not look at it.
    gc.freeze()
    gc.enable()
    try:
        return asyncio.run(work)
    except MirrorError as error:
        fail(error)


def fail(error: MirrorError) -> NoReturn:
    """Print an error and exit."""
    show_error(error)
    raise typer.Exit(2 if isinstance(error, ConfigurationError | InvalidRequestError) else 1) from None


def show_error(error: MirrorError) -> None:
    """Print an error to standard error."""
    # The message may quote upstream, whose text must not control the terminal.
    typer.echo("\n".join(map(printable, f"error: {error}".splitlines())), err=True)
