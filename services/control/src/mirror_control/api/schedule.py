"""Calls to pause and resume the schedule."""

from fastapi import APIRouter

from mirror_contract import Schedule
from mirror_control.access.auth import needs_trigger
from mirror_control.api.dependencies import Syncer
from mirror_control.problems import problem_responses

router = APIRouter(
    prefix="/schedule", tags=["schedule"], dependencies=[needs_trigger], responses=problem_responses(401, 403, 502, 503)
)


@router.post("/pause")
async def pause(syncer: Syncer) -> Schedule:
    """Pause scheduled runs; runs that a person requests still start."""
    return await syncer.change_schedule("pause")


@router.post("/resume")
async def resume(syncer: Syncer) -> Schedule:
    """Resume scheduled runs."""
    return await syncer.change_schedule("resume")
