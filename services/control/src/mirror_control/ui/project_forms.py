"""What the forms of projects do: add a line, and list all lines."""

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from mirror_contract import AddedLineRequest
from mirror_control.access.auth import needs_read, needs_trigger
from mirror_control.access.form_token import form_of
from mirror_control.api import selection
from mirror_control.api.dependencies import Syncer
from mirror_control.client.schemas import Filter
from mirror_control.problems import problem_response
from mirror_control.ui.actions import explain_invalid
from mirror_control.ui.done_page import render_done
from mirror_control.ui.rendering import render

router = APIRouter()

_PAGE_SIZE = 100


@router.post("/ui/projects", dependencies=[needs_trigger])
async def add(request: Request, syncer: Syncer) -> Response:
    """Add the line of a form, as the API does, and say what follows."""
    form = form_of(request)
    try:
        wanted = AddedLineRequest(line=form.get("line", ""), because=form.get("because", ""))
    except ValidationError as error:
        return problem_response(422, explain_invalid(error))
    line = await selection.add(syncer, request, wanted)
    return render_done(
        request, title=f"{line.project} is added", project=line.project, run=line.run, warnings=line.warnings
    )


@router.post("/ui/selection", dependencies=[needs_read])
async def lines(request: Request, syncer: Syncer) -> Response:
    """List all lines, the added ones with who, when and why. By POST, so that no URL contains the token."""
    found = await syncer.list_selection(Filter(after=form_of(request).get("after") or None, limit=_PAGE_SIZE))
    return render(request, "lines.html", found=found, page_size=_PAGE_SIZE)
