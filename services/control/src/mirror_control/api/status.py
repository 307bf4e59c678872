"""Calls for the mirror's status and for its metrics."""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from mirror_contract import Status
from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import AccessLogIntake, Syncer
from mirror_control.downloads.edge_metrics import EdgeMetrics
from mirror_control.metrics import PageMetrics
from mirror_control.problems import problem_responses

router = APIRouter(prefix="/status", tags=["status"], dependencies=[open_to_all])
metrics = APIRouter(prefix="/metrics", dependencies=[open_to_all])


@router.get("", responses=problem_responses(502, 503))
async def show(syncer: Syncer) -> Status:
    """Return the mirror's status; if the syncer does not answer, the last known one."""
    return await syncer.get_status_or_last_known()


@metrics.get("")
async def scrape(request: Request, syncer: Syncer, intake: AccessLogIntake) -> Response:
    """Return the metrics of the syncer and of control in one scrape; an edge has no syncer."""
    if edge := await asyncio.to_thread(intake.edge_state):
        text = generate_latest(intake.metrics) + generate_latest(EdgeMetrics(intake.metrics.cached, edge))
    else:
        page = PageMetrics(request.app.state.page_url, certificate_end=await asyncio.to_thread(intake.certificate_end))
        exposition = await syncer.get_exposition()
        text = b"".join(map(generate_latest, (exposition, intake.metrics, page)))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
