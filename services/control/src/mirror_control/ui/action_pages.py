"""The page that says what an action will do and asks for a token, and the route that does it; both without scripts."""

from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from mirror_contract import Project, ReleaseRequest, Trigger, parse_project_name
from mirror_control.access.auth import needs_trigger, open_to_all, require_right
from mirror_control.access.form_token import form_of
from mirror_control.api import releases, selection
from mirror_control.api.dependencies import Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.schemas import ProjectFilter
from mirror_control.problems import problem_response
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.actions import Action, explain_invalid, make_action
from mirror_control.ui.done_page import render_done
from mirror_control.ui.rendering import render

router = APIRouter()

_MAX_FIELD_LENGTH = 512
_MAX_WITHHELD = 50


class WithheldRemovals(NamedTuple):
    """Projects that the deletion guard kept in the last sync, and what is known of them."""

    projects: list[tuple[str, Project | None]]
    """The first fifty."""
    others: int


@router.get("/ui/confirm", dependencies=[open_to_all])
async def confirm(request: Request, syncer: Syncer) -> Response:
    """Say what an action will do, which right it needs, and ask for a token."""
    try:
        action = make_action({name: value[:_MAX_FIELD_LENGTH] for name, value in request.query_params.items()})
    except ValueError as error:
        return render(request, "error.html", title="No such action", detail=str(error), status_code=422)
    # A link of another site could lead here with any number filled in.
    is_foreign = request.headers.get("sec-fetch-site") == "cross-site"
    withheld = await _find_withheld(syncer) if action.name == "allow-removals" else None
    return render(request, "confirm.html", action=action, is_foreign=is_foreign, withheld=withheld)


@router.post("/ui/actions", dependencies=[needs_trigger])
async def act(request: Request, syncer: Syncer) -> Response:
    """Do what a form asks for, and lead to the run or to the status; or say what follows."""
    form = form_of(request)
    try:
        action = make_action(form)
    except ValueError as error:
        return problem_response(422, str(error))
    # In the audit, also of what the right does not allow.
    request.state.call = f"{action.method} /api/v1{action.path}"
    require_right(request, action.right)
    match action.name:
        case "release":
            return await _release(request, syncer, form)
        case "end-release":
            return await _end_release(request, syncer, action)
        case "remove-line":
            line = await selection.remove(syncer, request, parse_project_name(action.fields["project"]))
            return render_done(
                request, title=f"The line of {line.project} is removed", project=line.project, run=line.run
            )
        case _:
            return RedirectResponse(await _perform(request, syncer, action), status_code=303)


async def _release(request: Request, syncer: SyncerClient, form: Mapping[str, str]) -> Response:
    try:
        wanted = ReleaseRequest.model_validate(
            {"requirement": form.get("requirement", ""), "because": form.get("because", ""), "for": form.get("for", "")}
        )
    except ValidationError as error:
        return problem_response(422, explain_invalid(error))
    release = await releases.add(syncer, request, wanted)
    title = f"{release.requirement} is released until {release.until:%Y-%m-%d %H:%M} UTC"
    return render_done(request, title=title, project=release.project, run=release.run, warnings=release.warnings)


async def _end_release(request: Request, syncer: SyncerClient, action: Action) -> Response:
    requirement = action.fields["requirement"]
    request.state.release = requirement
    in_force = (await syncer.list_releases()).items
    found = next((one for one in in_force if one.requirement == requirement), None)
    if found is None:
        return problem_response(404, f"No release of {requirement} is in force.")
    request.state.call = f"{action.method} /api/v1{action.path}/{found.id}"
    ended = await releases.revoke(syncer, request, found.id)
    return render_done(request, title=f"The release of {requirement} is ended", project=ended.project, run=ended.run)


async def _find_withheld(syncer: SyncerClient) -> WithheldRemovals | None:
    """Return what the deletion guard withheld in the last sync; None if that is nothing, or not known."""
    status = syncer.last_known_status
    run = None if status is None else status.last_run
    if run is None or not run.counts.projects_withheld:
        return None
    names = run.withheld[:_MAX_WITHHELD]
    known = dict[str, Project]()
    if names:
        with suppress(ApiError):  # without their files, then
            listed = await syncer.list_projects(ProjectFilter(name=names, limit=_MAX_WITHHELD))
            known = {one.name: one for one in listed.items}
    others = max(run.counts.projects_withheld - len(names), 0)
    return WithheldRemovals([(name, known.get(name)) for name in names], others)


async def _perform(request: Request, syncer: SyncerClient, action: Action) -> str:
    """Start or cancel a run, or change the schedule; return the URL of what follows, relative to this route's."""
    if action.request is not None:
        run = await syncer.start_run(action.request, trigger=Trigger.API)
    elif (name := action.fields.get("run")) is not None:
        request.state.run = name  # also if it is refused
        run = await syncer.cancel_run(name)
    else:
        await syncer.change_schedule("resume" if action.name == "resume" else "pause")
        return "./"
    request.state.run = run.id
    return f"runs/{run.id}"
