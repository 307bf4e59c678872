"""
Calls of ``mirrorctl`` to control. Every error becomes one line with its remedy, and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 incomplete, 130 interrupted.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from mirror_contract.text import printable
from mirror_control.access.token import TokenError
from mirror_control.client.api_client import ApiClient, ApiError, RefusedError, UnreachableError
from mirror_control.client.validation_errors import explain_errors
from mirror_control.settings import Settings, SettingsError

Answer = TypeVar("Answer")
Options = TypeVar("Options", bound=BaseModel)

FAILED, USAGE, INCOMPLETE, INTERRUPTED = 1, 2, 3, 130

# Control waits up to five seconds for the syncer, and the network may be slow.
_TIMEOUT_SECONDS = 15.0


def parse_options(model: type[Options], **options: object) -> Options:
    """
    Return the command's options as a type of the API.

    Raises:
        typer.Exit: an option is invalid; the reason is printed.
    """
    try:
        return model.model_validate(options)
    except ValidationError as error:
        fail("; ".join(f"{one.pointer}: {one.detail}" for one in explain_errors(error.errors())), code=USAGE)


def call_control(url: str, call: Callable[[ApiClient], Awaitable[Answer]], *, token: str | None = None) -> Answer:
    """
    Run calls to control, at the mirror's address or its own, and return their result.

    Raises:
        typer.Exit: control refused the call or did not answer; the reason is printed.
    """

    async def run() -> Answer:
        async with ApiClient(
            base=f"{url.rstrip('/')}/api/v1/", timeout_seconds=_TIMEOUT_SECONDS, token=token
        ) as control:
            return await call(control)

    try:
        return asyncio.run(run())
    except RefusedError as error:
        fail(str(error), code=USAGE if error.problem.status == 422 else FAILED)  # noqa: PLR2004 invalid options
    except UnreachableError as error:
        fail(f"{url} does not answer ({error}); check `docker compose ps control` and --url", code=FAILED)
    except ApiError as error:
        fail(f"{url} is not a mirror's control ({error}); check --url", code=FAILED)
    except ValueError as error:
        fail(f"--url {url}: {error}", code=USAGE)


def find_token() -> str:
    """
    Return the token to send: from MIRROR_TOKEN, or else from control's container.

    Raises:
        typer.Exit: neither has a token.
    """
    if token := os.environ.get("MIRROR_TOKEN", "").strip():
        return token
    try:
        return Settings.load().token_file.current().decode()
    except (SettingsError, TokenError) as error:
        fail(f"no token: set MIRROR_TOKEN, or run mirrorctl in control's container ({error})", code=USAGE)


def fail(message: str, *, code: int) -> NoReturn:
    """
    Print an error, made safe for a terminal, and exit.

    Raises:
        typer.Exit: always.
    """
    typer.echo(f"mirrorctl: {printable(message)}", err=True)
    raise typer.Exit(code)
