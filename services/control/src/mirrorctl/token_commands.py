"""``mirrorctl token``: the operator's token, and others with a name and a right."""

import json
from datetime import UTC
from typing import Annotated

import typer

from mirror_control.access.named_tokens import NamedTokens
from mirror_control.access.rights import Right
from mirror_control.access.token import TokenError
from mirror_control.settings import Settings, SettingsError
from mirrorctl import views
from mirrorctl.conversation import USAGE, fail, find_token
from mirrorctl.options import AsJson

token = typer.Typer(
    name="token",
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Show the operator's token, or make, list and revoke others.",
)


@token.callback()
def show(context: typer.Context) -> None:
    """Show the operator's token, or make, list and revoke others."""
    if context.invoked_subcommand is None:
        typer.echo(find_token())


@token.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name in the audit log: a-z, 0-9 and -.")],
    *,
    right: Annotated[
        Right,
        typer.Option(
            help="read: list misses. trigger: also start and cancel runs. remove: also what can delete files."
        ),
    ],
) -> None:
    """Make a token and show it once: only its digest is kept. It is valid at once."""
    try:
        typer.echo(_tokens().create(name, right))
    except TokenError as error:
        fail(str(error), code=USAGE)


@token.command(name="list")
def list_all(*, as_json: AsJson = False) -> None:
    """List the tokens that were made, with their rights; the operator's is not among them."""
    tokens = _tokens()
    try:
        found = tokens.all()
    except TokenError as error:
        fail(str(error), code=USAGE)
    for name, reason in tokens.unusable.items():
        typer.echo(f"mirrorctl: token {name!r} is unusable: {reason}; revoke it and create it again", err=True)
    if as_json:
        listed = [{"name": name} | one.model_dump(mode="json", exclude={"sha256"}) for name, one in found.items()]
        typer.echo(json.dumps(listed))
    else:
        views.show(views.tokens((name, one.right, one.created_at.astimezone(UTC)) for name, one in found.items()))


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
        fail(f"no tokens here: run this in control's container ({error})", code=USAGE)
