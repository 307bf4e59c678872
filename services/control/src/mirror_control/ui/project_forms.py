"""What the forms of projects do: add a line, remove it, sync, and list all lines."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from pydantic import ValidationError
from starlette.responses import Response

from mirror_contract import AddedLine, AddedLineRequest, ProjectName, RunKind, RunRequest, Trigger
from mirror_control.access.auth import needs_read, needs_remove, needs_trigger
from mirror_control.access.form_token import form_of
from mirror_control.api import selection
from mirror_control.api.dependencies import Syncer
from mirror_control.client.schemas import Filter
from mirror_control.problems import problem_response
from mirror_control.ui.rendering import render

router = APIRouter()

_PAGE_SIZE = 100

Name = Annotated[ProjectName, Path()]


@router.post("/ui/projects", dependencies=[needs_trigger])
async def add(request: Request, syncer: Syncer) -> Response:
    """Add the line of a form, as the API does, and say what follows."""
    form = form_of(request)
    try:
        wanted = AddedLineRequest(line=form.get("line", ""), because=form.get("because", ""))
    except ValidationError as error:
        first = error.errors()[0]
        return problem_response(422, f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}")
    line = await selection.add(syncer, request, wanted)
    return _render_line(request, line, title=f"{line.project} is added")


@router.post("/ui/projects/{name}/remove", dependencies=[needs_remove])
async def remove(request: Request, syncer: Syncer, name: Name) -> Response:
    """Remove the added line of a project, as the API does, and say what follows."""
    line = await selection.remove(syncer, request, name)
    return _render_line(request, line, title=f"The line of {line.project} is removed")


@router.post("/ui/projects/{name}/sync", dependencies=[needs_trigger])
async def sync(request: Request, syncer: Syncer, name: Name) -> Response:
    """Queue a sync of a project."""
    run = await syncer.start_run(RunRequest(kind=RunKind.SYNC, projects=(name,)), trigger=Trigger.API)
    request.state.run = run.id
    return render(
        request,
        "done.html",
        title=f"A sync of {name} is {run.state}",
        warnings=[],
        run=run.id,
        back=f"/ui/projects/{quote(name)}",
        back_name=name,
    )


@router.post("/ui/selection", dependencies=[needs_read])
async def lines(request: Request, syncer: Syncer) -> Response:
    """List all lines, the added ones with who, when and why. By POST, so that no URL contains the token."""
    found = await syncer.list_selection(Filter(after=form_of(request).get("after") or None, limit=_PAGE_SIZE))
    return render(request, "lines.html", found=found, page_size=_PAGE_SIZE)


def _render_line(request: Request, line: AddedLine, *, title: str) -> Response:
    return render(
        request,
        "done.html",
        title=title,
        warnings=line.warnings,
        run=line.run,
        back=f"/ui/projects/{quote(line.project)}",
        back_name=line.project,
    )
