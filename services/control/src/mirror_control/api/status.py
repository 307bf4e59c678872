"""The mirror's status, for people and programs, and its metrics, for Prometheus."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from mirror_contract import Status
from mirror_control.access.auth import everyone
from mirror_control.api.dependencies import AccessLogIntake, Syncer
from mirror_control.problems import answers

router = APIRouter(prefix="/status", tags=["status"], dependencies=[everyone])
metrics = APIRouter(prefix="/metrics", dependencies=[everyone])


@router.get("", responses=answers(502, 503))
async def show(syncer: Syncer) -> Status:
    """Look at the mirror: fresh, complete, and with room to grow? With the syncer away, the last known answer."""
    return await syncer.look()


@metrics.get("")
async def scrape(syncer: Syncer, intake: AccessLogIntake) -> Response:
    """Return the syncer's families and control's own, in one scrape."""
    exposition = await syncer.exposition()
    text = generate_latest(exposition) + generate_latest(intake.served)
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
