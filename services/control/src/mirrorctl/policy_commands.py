"""The commands of ``mirrorctl`` about held files: list them, and release versions from the cooldown."""

from typing import Annotated

import typer

from mirror_contract import ReleaseRequest, Trigger
from mirror_control.client.schemas import HeldDecision, HeldFilter
from mirrorctl import policy_views
from mirrorctl.api_call import USAGE, call_control, fail, find_token, parse_options
from mirrorctl.options import After, AsJson, Follow, Limit
from mirrorctl.policy_change import change_policy
from mirrorctl.views import show_page


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
        return change_policy(
            context,
            lambda control: control.revoke_release(revoke, trigger=Trigger.CLI),
            lambda changed: policy_views.changed_release(changed, revoked=True),
            follow_run=follow_run,
            as_json=as_json,
        )
    if because is None:
        fail("say why: --because 'CVE-2026-1234'", code=USAGE)
    wanted = parse_options(ReleaseRequest, requirement=requirement, because=because, **{"for": duration})
    return change_policy(
        context,
        lambda control: control.add_release(wanted, trigger=Trigger.CLI),
        lambda changed: policy_views.changed_release(changed, revoked=False),
        follow_run=follow_run,
        as_json=as_json,
    )
