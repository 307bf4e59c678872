"""Calls for downloads from the mirror and for misses."""

from typing import Annotated

from fastapi import APIRouter, Query

from mirror_control.access.auth import needs_read, open_to_all
from mirror_control.api.dependencies import Counts
from mirror_control.client.download_schemas import DownloadFilter, Downloads, Misses, MissFilter
from mirror_control.problems import problem_responses

router = APIRouter(tags=["downloads"], responses=problem_responses(422, 429, 503))


@router.get("/downloads", dependencies=[open_to_all])
async def find(counts: Counts, wanted: Annotated[DownloadFilter, Query()]) -> Downloads:
    """Count downloads by day, project, file type, client and Python; for one project, by version instead."""
    return await counts.get_downloads(wanted)


@router.get("/misses", dependencies=[needs_read], responses=problem_responses(401, 403))
async def misses(counts: Counts, wanted: Annotated[MissFilter, Query()]) -> Misses:
    """Count requests for missing pages and files (404) by project. Such names are often private."""
    return await counts.get_misses(wanted)
