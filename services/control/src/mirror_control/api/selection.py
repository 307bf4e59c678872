"""Calls for the selection: the lines of mirror.toml, and those that people add and remove."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response

from mirror_contract import AddedLine, AddedLineRequest, ProjectName, Trigger
from mirror_control.access.auth import needs_read, needs_remove, needs_trigger, require_right
from mirror_control.access.rights import Right
from mirror_control.api.dependencies import Syncer
from mirror_control.api.paging import LINK_HEADER, add_next_link
from mirror_control.client.schemas import Filter, SelectionPage
from mirror_control.problems import problem_responses

router = APIRouter(tags=["selection"], responses=problem_responses(401, 403, 422, 502, 503))

Name = Annotated[ProjectName, Path(description="In any spelling.", examples=["requests"])]
Origin = Annotated[Literal["api", "cli"], Header(alias="X-Trigger", description="The trigger to record for the run.")]

_EXAMPLES = [{"line": "django[argon2]>=5.2", "because": "the shop's new backend"}]


@router.get("/selection", dependencies=[needs_read], responses=LINK_HEADER)
async def find(
    syncer: Syncer, wanted: Annotated[Filter, Query()], request: Request, response: Response
) -> SelectionPage:
    """List the lines of mirror.toml in their order, then the added ones, with who added them, when and why."""
    page = await syncer.list_selection(wanted)
    add_next_link(page, request=request, response=response)
    return page


@router.post("/projects", status_code=201, dependencies=[needs_trigger], responses=problem_responses(409, 413))
async def add(
    syncer: Syncer,
    request: Request,
    wanted: Annotated[AddedLineRequest, Body(examples=_EXAMPLES)],
    *,
    trigger: Origin = "api",
) -> AddedLine:
    """
    Mirror a project from now on, and what it needs, beside the lines of mirror.toml.

    A project that is blocked or quarantined is 409, and one that upstream lacks is 422. If upstream does not answer,
    the line is stored, and a warning says so. The answer names the run that mirrors the project. Another line for the
    same project replaces its added one, which may remove files: that needs a token with the right `remove`, else 403.
    """
    request.state.line = f"{wanted.line}: {wanted.because}"
    holder = require_right(request, Right.TRIGGER)
    may_replace = holder.right.includes(Right.REMOVE)
    line = await syncer.add_line(wanted, trigger=Trigger(trigger), by=holder.name, may_replace=may_replace)
    request.state.run = line.run
    return line


@router.delete("/projects/{name}", dependencies=[needs_remove], responses=problem_responses(404, 409))
async def remove(syncer: Syncer, request: Request, name: Name, *, trigger: Origin = "api") -> AddedLine:
    """
    Remove the added line of a project.

    The answer names the sync that removes the project, with what only it needed: under the deletion guard, and its
    files after the grace period. A line of mirror.toml is removed there: 409.
    """
    line = await syncer.remove_line(name, trigger=Trigger(trigger))
    request.state.run, request.state.line = line.run, line.line
    return line
