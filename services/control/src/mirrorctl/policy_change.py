"""A change of the policy by a person: a call that a run then applies."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from mirror_contract import AddedLine, Release, Run
from mirror_contract.text import printable
from mirror_control.client.api_client import ApiClient
from mirrorctl import views
from mirrorctl.api_call import INTERRUPTED, call_control, fail, find_token
from mirrorctl.follow import exit_with, follow
from mirrorctl.views import show

Changed = TypeVar("Changed", AddedLine, Release)


def change_policy(
    context: typer.Context,
    make: Callable[[ApiClient], Awaitable[Changed]],
    describe: Callable[[Changed], str],
    *,
    follow_run: bool,
    as_json: bool = False,
) -> None:
    """Make a change, show its warnings and what it did, and follow the run that applies it."""

    async def change(control: ApiClient) -> tuple[Changed, Run | None]:
        changed = await make(control)
        if not follow_run or changed.run is None:
            return changed, None
        return changed, await follow(control, await control.get_run(changed.run))

    try:
        changed, run = call_control(context.obj, change, token=find_token())
    except KeyboardInterrupt:
        fail("the run continues; `mirrorctl runs` shows it", code=INTERRUPTED)
    for warning in changed.warnings:
        typer.echo(f"mirrorctl: {printable(warning)}", err=True)
    if run is None or not views.is_piped():  # in a pipe, the followed run's lines are the output
        show(changed, describe(changed), as_json=as_json or views.is_piped())
    if run is not None:
        exit_with(run)
