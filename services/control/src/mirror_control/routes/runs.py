"""Runs: ask for one, list them, look at one, cancel it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response

from mirror_contract import Run, RunRequest, Trigger
from mirror_control import auth
from mirror_control.deps import Syncer
from mirror_control.paging import LINKED, link
from mirror_control.problems import answers
from mirror_control.shapes import RunFilter, RunPage

router = APIRouter(prefix="/runs", tags=["runs"], responses=answers(422, 502, 503))

RunId = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,63}$", examples=["20261122T161233-3fa9c1"])]

_EXAMPLES = [
    {"kind": "sync"},
    {"kind": "sync", "projects": ["requests", "urllib3"]},
    {"kind": "sync", "force": True},
    {"kind": "verify", "repair": True},
]


@router.post("", status_code=202, dependencies=[auth.declared], responses=answers(400, 401, 409, 413))
async def start(
    syncer: Syncer,
    response: Response,
    wanted: Annotated[RunRequest, Body(examples=_EXAMPLES)],
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[\x21-\x7e]{1,255}$",
            description="The same key and body is the same call: for a day, it returns the same run.",
            examples=["6f1b3c52-9a0e-4d0b-8f43-5e2f7d1c9a77"],
        ),
    ] = None,
    trigger: Annotated[
        Literal["api", "cli"], Header(alias="X-Trigger", description="What to write down as the trigger.")
    ] = "api",
) -> Run:
    """Ask for a run; an equal one that is still queued is returned instead."""
    run = await syncer.start(wanted, trigger=Trigger(trigger), idempotency_key=key)
    response.headers["Location"] = f"/api/v1/runs/{run.id}"
    return run


@router.get("", responses=LINKED)
async def find(syncer: Syncer, wanted: Annotated[RunFilter, Query()], request: Request, response: Response) -> RunPage:
    """List runs, newest first."""
    page = await syncer.runs(wanted)
    link(page, request=request, response=response)
    return page


@router.get("/{run_id}", responses=answers(404))
async def show(syncer: Syncer, run_id: RunId) -> Run:
    """Look at a run: state, trigger, times, counts, failures."""
    return await syncer.run(run_id)


@router.post("/{run_id}/cancel", status_code=202, dependencies=[auth.declared], responses=answers(401, 404, 409))
async def cancel(syncer: Syncer, run_id: RunId) -> Run:
    """Ask a run to end; what it has published stays."""
    return await syncer.cancel(run_id)
