"""Calls for runs: start, list, show, watch, cancel."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Header, HTTPException, Path, Query, Request, Response
from fastapi.sse import EventSourceResponse

from mirror_contract import Run, RunRequest, Trigger
from mirror_control.access.auth import needs_trigger, open_to_all, require_right
from mirror_control.access.rights import TokenHolder, required_right
from mirror_control.api.address import prefix_of
from mirror_control.api.dependencies import AllWatches, Syncer
from mirror_control.api.paging import LINK_HEADER, add_next_link
from mirror_control.client.schemas import RunFilter, RunPage
from mirror_control.problems import problem_responses
from mirror_control.syncer.run_watch import TooManyWatchersError, Watch

router = APIRouter(prefix="/runs", tags=["runs"], responses=problem_responses(422, 502, 503))

RunId = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,63}$", examples=["20261122T161233042-3fa9c1"])]

_EXAMPLES = [
    {"kind": "sync"},
    {"kind": "sync", "projects": ["requests", "urllib3"]},
    {"kind": "sync", "force": True},
    {"kind": "verify", "repair": True},
    {"kind": "collect", "now": True},
]


@router.post("", status_code=202, dependencies=[needs_trigger], responses=problem_responses(401, 403, 409, 413, 429))
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
            description="Repeating a call with the same token, key and body returns the same run for a day.",
            examples=["6f1b3c52-9a0e-4d0b-8f43-5e2f7d1c9a77"],
        ),
    ] = None,
    trigger: Annotated[
        Literal["api", "cli"], Header(alias="X-Trigger", description="The trigger to record for the run.")
    ] = "api",
) -> Run:
    """
    Queue a run and return it. If an equal run is queued already, return that one.

    The kind `collect` and the options `allow_removals`, `confirm` and `repair` need the right `remove`.
    """
    holder = require_right(request, required_right(run_request))
    run = await syncer.start_run(run_request, trigger=Trigger(trigger), idempotency_key=key and _scope_key(holder, key))
    request.state.run = run.id
    response.headers["Location"] = f"{prefix_of(request.headers)}/api/v1/runs/{run.id}"
    return run


@router.get("", dependencies=[open_to_all], responses=LINK_HEADER | problem_responses(429))
async def find(syncer: Syncer, wanted: Annotated[RunFilter, Query()], request: Request, response: Response) -> RunPage:
    """List runs, newest first."""
    page = await syncer.list_runs(wanted)
    add_next_link(page, request=request, response=response)
    return page


@router.get("/{run_id}", dependencies=[open_to_all], responses=problem_responses(404))
async def show(syncer: Syncer, run_id: RunId) -> Run:
    """Return a run: state, trigger, times, counts, failures."""
    return await syncer.get_run(run_id)


def _scope_key(holder: TokenHolder, key: str) -> str:
    """Return a key that is unique per token, so that another token's calls cannot share the run or use up the key."""
    return hashlib.sha256(f"{holder.name}\0{key}".encode()).hexdigest()


async def _watch(watches: AllWatches, run_id: RunId) -> AsyncIterator[Watch]:
    try:
        async with watches.watch(run_id) as watch:
            yield watch
    except TooManyWatchersError as error:
        raise HTTPException(503, f"{error}; request the run itself instead.", headers={"Retry-After": "30"}) from None


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    204: {"description": "The run has ended, and by `Last-Event-ID` the client already knows."},
}


@router.get(
    "/{run_id}/events", dependencies=[open_to_all], response_class=Response, responses=_STREAM | problem_responses(404)
)
async def events(
    watch: Annotated[Watch, Depends(_watch)],
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=255,
            description="The id of the last received event; that event is not sent again.",
            examples=["1795363953042-9f1c2d3e4a5b"],
        ),
    ] = None,
) -> Response:
    """
    Watch a run by server-sent events until it ends. Each change sends `event: run` with the whole Run as data.

    `event: away` means that the syncer does not answer; a `run` event follows once it does. Comments keep the stream
    open. A slow or reconnecting client gets the latest state and no history.
    """
    if watch.ended and watch.snapshot is not None and watch.snapshot.is_known_to(last_event_id):
        return Response(status_code=204)  # a browser's EventSource then stops reconnecting
    # The watch encodes each event once for all clients; a route that yields events would encode them per client.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventSourceResponse(watch.events(last_event_id=last_event_id), headers=headers)


@router.post(
    "/{run_id}/cancel", status_code=202, dependencies=[needs_trigger], responses=problem_responses(401, 403, 404, 409)
)
async def cancel(syncer: Syncer, request: Request, run_id: RunId) -> Run:
    """Request the cancellation of a run; what it has already published stays."""
    request.state.run = run_id
    return await syncer.cancel_run(run_id)
