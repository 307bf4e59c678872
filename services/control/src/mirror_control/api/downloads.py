"""Downloads: what is fetched from the mirror, and what was asked for in vain."""

from typing import Annotated

from fastapi import APIRouter, Query

from mirror_control.access.auth import everyone, reads
from mirror_control.api.dependencies import Counts
from mirror_control.client.download_shapes import DownloadFilter, Downloads, Misses, MissFilter
from mirror_control.problems import answers

router = APIRouter(tags=["downloads"], responses=answers(422, 429, 503))


@router.get("/downloads", dependencies=[everyone])
async def find(counts: Counts, wanted: Annotated[DownloadFilter, Query()]) -> Downloads:
    """Count what was downloaded: by day, project, file type and client, or of one project by version."""
    return await counts.downloads(wanted)


@router.get("/misses", dependencies=[reads], responses=answers(401, 403))
async def misses(counts: Counts, wanted: Annotated[MissFilter, Query()]) -> Misses:
    """Count what was asked for and is not here: 404s of pages and files by project. Such names are often private."""
    return await counts.misses(wanted)
