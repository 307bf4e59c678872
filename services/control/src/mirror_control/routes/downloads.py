"""Downloads: what is fetched from the mirror, and what was asked for in vain."""

from typing import Annotated

from fastapi import APIRouter, Query

from mirror_control.deps import Counts
from mirror_control.downloads.shapes import DownloadFilter, Downloads, Misses, MissFilter
from mirror_control.problems import answers

router = APIRouter(tags=["downloads"], responses=answers(422, 503))


@router.get("/downloads")
async def find(counts: Counts, wanted: Annotated[DownloadFilter, Query()]) -> Downloads:
    """Count what was downloaded: by day, project, file type and client, or of one project by version."""
    return await counts.downloads(wanted)


@router.get("/misses")
async def misses(counts: Counts, wanted: Annotated[MissFilter, Query()]) -> Misses:
    """Count what was asked for and is not here: 404s of pages and files by project."""
    return await counts.misses(wanted)
