"""
``mirrorctl``'s conversation with control: what goes wrong in it is one line that says what to do, and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 incomplete, 130 interrupted.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from mirror_contract.text import plain
from mirror_control.access.token import TokenError
from mirror_control.client.api_client import ApiClient, ApiError, Refused, Unreachable
from mirror_control.client.validation_errors import faults
from mirror_control.settings import Settings, SettingsError

Answer = TypeVar("Answer")
Shape = TypeVar("Shape", bound=BaseModel)

FAILED, USAGE, INCOMPLETE, INTERRUPTED = 1, 2, 3, 130

# A call that control passes on takes up to five seconds; the way to it may be long.
_LIMIT = 15.0


def validated(shape: type[Shape], **options: object) -> Shape:
    """
    Return options as a model of the API.

    Raises:
        typer.Exit: they are invalid; the error is printed.
    """
    try:
        return shape.model_validate(options)
    except ValidationError as error:
        fail("; ".join(f"{one.pointer}: {one.detail}" for one in faults(error.errors())), code=USAGE)


def ask(url: str, conversation: Callable[[ApiClient], Awaitable[Answer]], *, token: str | None = None) -> Answer:
    """
    Talk with control, at the mirror's address or its own, and return what came of it.

    Raises:
        typer.Exit: it was refused, or nobody answered; why is told.
    """

    async def talk() -> Answer:
        async with ApiClient(base=f"{url.rstrip('/')}/api/v1/", limit=_LIMIT, token=token) as control:
            return await conversation(control)

    try:
        return asyncio.run(talk())
    except Refused as error:
        fail(str(error), code=USAGE if error.problem.status == 422 else FAILED)  # noqa: PLR2004 a wrong call
    except Unreachable as error:
        fail(f"{url} does not answer ({error}): `docker compose ps control`, or another --url", code=FAILED)
    except ApiError as error:
        fail(f"{url} is no mirror's control ({error}): check --url", code=FAILED)
    except ValueError as error:
        fail(f"--url {url}: {error}", code=USAGE)


def find_token() -> str:
    """
    Return the token to send: the variable's, or that of control's container.

    Raises:
        typer.Exit: there is neither.
    """
    if given := os.environ.get("MIRROR_TOKEN", "").strip():
        return given
    try:
        return Settings.load().token_file.current().decode()
    except (SettingsError, TokenError) as error:
        fail(f"no token: set MIRROR_TOKEN, or run this in control's container ({error})", code=USAGE)


def fail(told: str, *, code: int) -> NoReturn:
    """
    Say what is wrong, without what would steer a terminal, and end.

    Raises:
        typer.Exit: always.
    """
    typer.echo(f"mirrorctl: {plain(told)}", err=True)
    raise typer.Exit(code)
