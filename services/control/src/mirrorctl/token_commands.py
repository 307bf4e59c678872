"""The ``mirrorctl token`` commands: the operator's token, and named tokens with rights."""

import json
from datetime import UTC
from typing import Annotated

import typer

from mirror_control.access.named_tokens import NamedTokens
from mirror_control.access.rights import Right
from mirror_control.access.token import TokenError
from mirror_control.settings import Settings, SettingsError
from mirrorctl import views
from mirrorctl.api_call import USAGE, fail, find_token
from mirrorctl.options import AsJson

token = typer.Typer(
    name="token",
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Show the operator's token, or manage named tokens.",
)


@token.callback()
def show(context: typer.Context) -> None:
    """Show the operator's token, or manage named tokens."""
    if context.invoked_subcommand is None:
        typer.echo(find_token())


@token.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the token in the audit log: a-z, 0-9 and -.")],
    *,
    right: Annotated[
        Right,
        typer.Option(
            help="read: list misses. trigger: also start and cancel runs. remove: also runs that can delete files."
        ),
    ],
) -> None:
    """Create a token, valid at once. It is shown only now, because only its digest is stored."""
    try:
        typer.echo(_tokens().create(name, right))
    except TokenError as error:
        fail(str(error), code=USAGE)


@token.command(name="list")
def list_all(*, as_json: AsJson = False) -> None:
    """List the named tokens with their rights. The operator's token is not listed."""
    tokens = _tokens()
    try:
        found = tokens.all()
    except TokenError as error:
        fail(str(error), code=USAGE)
    for name, reason in tokens.unusable.items():
        typer.echo(f"mirrorctl: token {name!r} is unusable: {reason}; revoke it and create a new one", err=True)
    if as_json:
        listed = [{"name": name} | one.model_dump(mode="json", exclude={"sha256"}) for name, one in found.items()]
        typer.echo(json.dumps(listed))
    else:
        views.print_view(views.tokens((name, one.right, one.created_at.astimezone(UTC)) for name, one in found.items()))


@token.command()
def revoke(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Revoke a token; the next request with it is refused."""
    try:
        _tokens().revoke(name)
    except TokenError as error:
        fail(str(error), code=USAGE)


def _tokens() -> NamedTokens:
    try:
        return Settings.load().tokens.named
    except SettingsError as error:
        fail(f"no tokens found: run mirrorctl in control's container ({error})", code=USAGE)
