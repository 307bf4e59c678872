"""The page that says what an action will do and asks for a token, and the route that does it; both without scripts."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from mirror_contract import Trigger
from mirror_control.access.auth import needs_trigger, open_to_all, require_right
from mirror_control.access.form_token import form_of
from mirror_control.api.dependencies import Syncer
from mirror_control.problems import problem_response
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.actions import Action, make_action
from mirror_control.ui.rendering import render

router = APIRouter()

_MAX_FIELD_LENGTH = 512


@router.get("/ui/confirm", dependencies=[open_to_all])
async def confirm(request: Request) -> Response:
    """Say what an action will do, which right it needs, and ask for a token."""
    try:
        action = make_action({name: value[:_MAX_FIELD_LENGTH] for name, value in request.query_params.items()})
    except ValueError as error:
        return render(request, "error.html", title="No such action", detail=str(error), status_code=422)
    # A link of another site could lead here with any number filled in.
    is_foreign = request.headers.get("sec-fetch-site") == "cross-site"
    return render(request, "confirm.html", action=action, is_foreign=is_foreign)


@router.post("/ui/actions", dependencies=[needs_trigger])
async def act(request: Request, syncer: Syncer) -> Response:
    """Do what a form asks for, and lead to the run, or to the status."""
    try:
        action = make_action(form_of(request))
    except ValueError as error:
        return problem_response(422, str(error))
    request.state.call = f"POST /api/v1{action.path}"  # in the audit, also of what the right does not allow
    require_right(request, action.right)
    return RedirectResponse(await _perform(request, syncer, action), status_code=303)


async def _perform(request: Request, syncer: SyncerClient, action: Action) -> str:
    """Do it, and return the URL of what follows, relative to this route's."""
    if action.request is not None:
        run = await syncer.start_run(action.request, trigger=Trigger.API)
    elif (name := action.fields.get("run")) is not None:
        request.state.run = name  # also if it is refused
        run = await syncer.cancel_run(name)
    else:
        await syncer.change_schedule("resume" if action.fields["do"] == "resume" else "pause")
        return "./"
    request.state.run = run.id
    return f"runs/{run.id}"
