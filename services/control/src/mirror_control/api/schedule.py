"""The schedule: hold it, let it go on."""

from fastapi import APIRouter

from mirror_contract import Schedule
from mirror_control.access.auth import triggers
from mirror_control.api.dependencies import Syncer
from mirror_control.problems import answers

router = APIRouter(
    prefix="/schedule", tags=["schedule"], dependencies=[triggers], responses=answers(401, 403, 502, 503)
)


@router.post("/pause")
async def pause(syncer: Syncer) -> Schedule:
    """Start no more runs by the clock; those asked for go on."""
    return await syncer.schedule("pause")


@router.post("/resume")
async def resume(syncer: Syncer) -> Schedule:
    """Start runs by the clock again."""
    return await syncer.schedule("resume")
