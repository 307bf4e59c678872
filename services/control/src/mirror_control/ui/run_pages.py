"""The pages of runs: a list to filter, and a page for each with what it changed and what failed."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from mirror_contract import ProjectState, Run, RunKind, RunState, Trigger, parse_project_name
from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import Remembered, Syncer
from mirror_control.api.runs import RunId
from mirror_control.client.api_client import ApiError
from mirror_control.client.schemas import ProjectFilter, RunFilter
from mirror_control.syncer.syncer_client import SyncerClient
from mirror_control.ui.api_errors import render_api_error
from mirror_control.ui.rendering import render
from mirror_control.ui.run_effects import describe_effect, group_by_cause

router = APIRouter(dependencies=[open_to_all])

_PAGE_SIZE = 50
_MAX_AFTER_LENGTH = 512
_NOT_UP_TO_DATE = frozenset({ProjectState.FAILING, ProjectState.PARTIAL, ProjectState.BEHIND})

Text = Annotated[str, Query(max_length=4096)]


@router.get("/ui/runs")
async def runs(  # noqa: PLR0917 - FastAPI's parameters
    request: Request,
    syncer: Syncer,
    remembered: Remembered,
    kind: Text = "",
    state: Text = "",
    trigger: Text = "",
    project: Text = "",
    after: Text = "",
) -> Response:
    """List runs, newest first; with a project, what each did with it."""
    try:
        name = parse_project_name(project) if project.strip() else None
        wanted = RunFilter(
            kind=RunKind(kind) if kind in list(RunKind) else None,
            state=[RunState(state)] if state in list(RunState) else [],
            trigger=[Trigger(trigger)] if trigger in list(Trigger) else [],
            project=name,
            after=after[:_MAX_AFTER_LENGTH] or None,
            limit=_PAGE_SIZE,
        )
    except (ValueError, ValidationError) as error:
        return render(request, "error.html", title="Runs", detail=str(error), status_code=422)
    try:
        found = await remembered.ask(f"runs {wanted.model_dump_json()}", partial(syncer.list_runs, wanted))
    except ApiError as error:
        return render_api_error(request, error, title="Runs")
    shows_all = not (after or kind or state or trigger)
    is_failing = name is not None and shows_all and await _is_failing(syncer, name)
    broken_by = _broken_by(found.value.items, name) if name and is_failing else None
    return render(
        request,
        "runs.html",
        found=found.value,
        as_of=found.outdated_since,
        project=name or "",
        effects={one.id: describe_effect(one, name) for one in found.value.items} if name else {},
        broken_by=broken_by,
        chosen={"kind": kind, "state": state, "trigger": trigger},
        choices={"kind": list(RunKind), "state": list(RunState), "trigger": list(Trigger)},
    )


@router.get("/ui/runs/{run_id}")
async def run(request: Request, syncer: Syncer, remembered: Remembered, run_id: RunId) -> Response:
    """Show the progress of a run, what it changed, its failures by cause, and how long its phases took."""
    try:
        found = await remembered.ask(f"run {run_id}", partial(syncer.get_run, run_id))
    except ApiError as error:
        return render_api_error(request, error, title=f"Run {run_id}")
    return render(
        request,
        "run.html",
        run=found.value,
        as_of=found.outdated_since,
        speed=syncer.speeds.speed_of(run_id) if found.is_current else None,
        groups=group_by_cause(found.value.failures),
    )


async def _is_failing(syncer: SyncerClient, project: str) -> bool:
    """Return whether a project is not up to date; False while the syncer is away."""
    try:
        found = await syncer.list_projects(ProjectFilter(name=[project]))
    except ApiError:
        return False
    return any(one.state in _NOT_UP_TO_DATE for one in found.items)


def _broken_by(newest_first: list[Run], project: str) -> Run | None:
    """Return the first of the latest runs in which a project failed without a success in between; None if none did."""
    broken = None
    for one in newest_first:
        effect = describe_effect(one, project)
        if effect.state == "failed":
            broken = one
        elif effect.state in ("succeeded", "withdrawn"):
            break
    return broken
