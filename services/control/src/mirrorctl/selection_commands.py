"""The commands of ``mirrorctl`` about the selection: add and remove projects, and list the lines that select them."""

from typing import Annotated

import typer

from mirror_contract import AddedLineRequest, SelectedLine, Trigger, parse_project_name
from mirror_control.client.api_client import ApiClient
from mirror_control.client.schemas import Filter, SelectionPage
from mirrorctl import selection_views, views
from mirrorctl.api_call import USAGE, call_control, fail, find_token, parse_options
from mirrorctl.options import AsJson, Follow
from mirrorctl.policy_change import change_policy
from mirrorctl.views import show

_PART = 200  # lines in each call


def add(
    context: typer.Context,
    line: Annotated[
        str, typer.Argument(metavar="PROJECT", help="A line as in mirror.toml, such as 'django[argon2]>=5.2'.")
    ],
    *,
    because: Annotated[str | None, typer.Option(metavar="REASON", help="Why; the project's page shows it.")] = None,
    follow_run: Follow = False,
) -> None:
    """
    Mirror a project from now on, and what it needs.

    It needs no edit of mirror.toml. It fails at once if the project is blocked, or if upstream lacks it. It needs a
    token with the right trigger.
    """
    if because is None:
        fail("say why: --because 'the new shop needs it'", code=USAGE)
    wanted = parse_options(AddedLineRequest, line=line, because=because)
    change_policy(
        context,
        lambda control: control.add_line(wanted, trigger=Trigger.CLI),
        selection_views.added,
        follow_run=follow_run,
    )


def remove(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="PROJECT", help="A project that was added.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    follow_run: Follow = False,
) -> None:
    """
    Remove a project that was added.

    It leaves as if its line were removed from mirror.toml, with what only it needed: under the deletion guard, and its
    files after the grace period. It needs a token with the right remove.
    """
    try:
        normalized = parse_project_name(name)
    except ValueError as error:
        fail(str(error), code=USAGE)
    if not yes:
        if views.is_piped():
            fail("nobody can be asked for confirmation here: pass --yes", code=USAGE)
        typer.confirm(f"Remove {normalized}, and what only it needs, from this mirror?", abort=True, err=True)
    change_policy(
        context,
        lambda control: control.remove_line(normalized, trigger=Trigger.CLI),
        selection_views.removed,
        follow_run=follow_run,
    )


def selection(
    context: typer.Context,
    *,
    as_toml: Annotated[bool, typer.Option("--toml", help="Print all lines as `projects` of mirror.toml.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    List the lines of mirror.toml and those that people added.

    With --toml, added lines can move into mirror.toml; afterwards, remove them here. It needs a token with the right
    read.
    """
    page = call_control(context.obj, _list_all, token=find_token())
    if as_toml:
        typer.echo(selection_views.toml(page.items))
    else:
        show(page, selection_views.table(page.items), as_json=as_json)


async def _list_all(control: ApiClient) -> SelectionPage:
    """Return all lines."""
    found, after = list[SelectedLine](), None
    while True:
        page = await control.list_selection(Filter(limit=_PART, after=after))
        found += page.items
        if page.next is None:
            return SelectionPage(items=found)
        after = page.next
