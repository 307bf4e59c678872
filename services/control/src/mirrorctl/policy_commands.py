"""The commands of ``mirrorctl`` about held files: list them, and release versions from the cooldown."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from mirror_contract import Release, ReleaseRequest, Run, Trigger
from mirror_contract.text import printable
from mirror_control.client.api_client import ApiClient
from mirror_control.client.schemas import HeldDecision, HeldFilter
from mirrorctl import policy_views, views
from mirrorctl.api_call import INTERRUPTED, USAGE, call_control, fail, find_token, parse_options
from mirrorctl.follow import exit_with, follow
from mirrorctl.options import After, AsJson, Follow, Limit
from mirrorctl.views import show, show_page


def held(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="PROJECT", help="Only files of this project.")] = None,
    *,
    decision: Annotated[
        list[HeldDecision] | None, typer.Option(help="Only files that wait, or only blocked ones.")
    ] = None,
    limit: Limit = 50,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """
    List files that wait or are blocked, and why.

    Files wait for their cooldown. The next to be published come first.
    """
    wanted = parse_options(HeldFilter, project=name, decision=decision or [], limit=limit, after=after)
    page = call_control(context.obj, lambda control: control.list_held(wanted))
    show_page(page, policy_views.held(page.items), as_json=as_json)


def release(
    context: typer.Context,
    requirement: Annotated[
        str | None, typer.Argument(metavar="PROJECT==VERSION", help="The version to publish now.")
    ] = None,
    *,
    because: Annotated[str | None, typer.Option(metavar="REASON", help="Why; the project's page shows it.")] = None,
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: a number with h, d or w, from 1h to 90d.")
    ] = ReleaseRequest.DEFAULT_DURATION,
    follow_run: Follow = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the releases in force.")] = False,
    revoke: Annotated[str | None, typer.Option(metavar="ID", help="Revoke this release.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    Publish a version now, although the cooldown holds it.

    Blocks and upstream's quarantine beat a release. It needs a token with the right remove, and --list one with read.
    """
    if sum((requirement is not None, list_all, revoke is not None)) != 1:
        fail("name one version (PROJECT==VERSION), or use --list or --revoke ID", code=USAGE)
    if list_all:
        page = call_control(context.obj, lambda control: control.list_releases(), token=find_token())
        return show_page(page, policy_views.releases(page.items), as_json=as_json)
    if revoke is not None:
        return _change(
            context,
            lambda control: control.revoke_release(revoke, trigger=Trigger.CLI),
            follow_run=follow_run,
            as_json=as_json,
            revoked=True,
        )
    if because is None:
        fail("say why: --because 'CVE-2026-1234'", code=USAGE)
    wanted = parse_options(ReleaseRequest, requirement=requirement, because=because, **{"for": duration})
    return _change(
        context,
        lambda control: control.add_release(wanted, trigger=Trigger.CLI),
        follow_run=follow_run,
        as_json=as_json,
    )


def _change(
    context: typer.Context,
    make: Callable[[ApiClient], Awaitable[Release]],
    *,
    follow_run: bool,
    as_json: bool,
    revoked: bool = False,
) -> None:
    """Change a release, and follow the run that puts the change into force."""

    async def change(control: ApiClient) -> tuple[Release, Run | None]:
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
        text = policy_views.changed_release(changed, revoked=revoked)
        show(changed, text, as_json=as_json or views.is_piped())
    if run is not None:
        exit_with(run)
