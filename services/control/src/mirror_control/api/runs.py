"""Runs: ask for one, list them, look at one, watch it, cancel it."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Header, HTTPException, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse

from mirror_contract import Run, RunRequest, Trigger
from mirror_control.access.auth import everyone, require, triggers
from mirror_control.access.rights import Holder, right_for
from mirror_control.api.address import prefix_of
from mirror_control.api.dependencies import AllWatches, Syncer
from mirror_control.api.paging import LINKED, link
from mirror_control.client.shapes import RunFilter, RunPage
from mirror_control.problems import answers
from mirror_control.syncer.watching import TooMany, Watch

router = APIRouter(prefix="/runs", tags=["runs"], responses=answers(422, 502, 503))

RunId = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,63}$", examples=["20261122T161233042-3fa9c1"])]

_EXAMPLES = [
    {"kind": "sync"},
    {"kind": "sync", "projects": ["requests", "urllib3"]},
    {"kind": "sync", "force": True},
    {"kind": "verify", "repair": True},
    {"kind": "collect", "now": True},
]


@router.post("", status_code=202, dependencies=[triggers], responses=answers(401, 403, 409, 413, 429))
async def start(
    syncer: Syncer,
    request: Request,
    response: Response,
    run_request: Annotated[RunRequest, Body(examples=_EXAMPLES)],
    *,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[\x21-\x7e]{1,255}$",
            description="The same key and body, by the same token, is the same call: for a day, it returns the same "
            "run.",
            examples=["6f1b3c52-9a0e-4d0b-8f43-5e2f7d1c9a77"],
        ),
    ] = None,
    trigger: Annotated[
        Literal["api", "cli"], Header(alias="X-Trigger", description="What to write down as the trigger.")
    ] = "api",
) -> Run:
    """
    Ask for a run; an equal one that is still queued is returned instead.

    Kind `collect`, and `allow_removals`, `confirm` and `repair`, need the right `remove`.
    """
    holder = require(request, right_for(run_request))
    run = await syncer.start(run_request, trigger=Trigger(trigger), idempotency_key=key and _key_of(holder, key))
    request.state.run = run.id
    response.headers["Location"] = f"{prefix_of(request.headers)}/api/v1/runs/{run.id}"
    return run


@router.get("", dependencies=[everyone], responses=LINKED | answers(429))
async def find(syncer: Syncer, wanted: Annotated[RunFilter, Query()], request: Request, response: Response) -> RunPage:
    """List runs, newest first."""
    page = await syncer.runs(wanted)
    link(page, request=request, response=response)
    return page


@router.get("/{run_id}", dependencies=[everyone], responses=answers(404))
async def show(syncer: Syncer, run_id: RunId) -> Run:
    """Look at a run: state, trigger, times, counts, failures."""
    return await syncer.run(run_id)


def _key_of(holder: Holder, key: str) -> str:
    """Return a key that no other token's calls share: theirs neither return this call's run nor use up its key."""
    return hashlib.sha256(f"{holder.name}\0{key}".encode()).hexdigest()


async def _watch(watches: AllWatches, run_id: RunId) -> AsyncIterator[Watch]:
    try:
        async with watches.watch(run_id) as watch:
            yield watch
    except TooMany as error:
        raise HTTPException(503, f"{error}; look at the run itself instead.", headers={"Retry-After": "30"}) from None


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events, as they come.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    204: {"description": "The run has ended, and `Last-Event-ID` says that its end was heard."},
}


@router.get("/{run_id}/events", dependencies=[everyone], response_class=Response, responses=_STREAM | answers(404))
async def events(
    watch: Annotated[Watch, Depends(_watch)],
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=255,
            description="What was heard last is not sent once more.",
            examples=["1795363953042-9f1c2d3e4a5b"],
        ),
    ] = None,
) -> Response:
    """
    Watch a run by server-sent events until it has ended: `event: run`, its data the whole Run, whenever it changed.

    `event: away`: the syncer does not answer; a `run` follows once it does. Comments keep the stream open. A client
    that is slow, or comes back, gets the latest and no history.
    """
    if watch.over and watch.snapshot is not None and watch.snapshot.is_known_to(last_event_id):
        return Response(status_code=204)  # which ends a browser's EventSource
    # Encoded by the watch, once for all clients: a route that yields would encode for each, and keep five of them.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventSourceResponse(watch.events(last_event_id=last_event_id), headers=headers)


@router.post("/{run_id}/cancel", status_code=202, dependencies=[triggers], responses=answers(401, 403, 404, 409))
async def cancel(syncer: Syncer, request: Request, run_id: RunId) -> Run:
    """Ask a run to end; what it has published stays."""
    request.state.run = run_id
    return await syncer.cancel(run_id)
