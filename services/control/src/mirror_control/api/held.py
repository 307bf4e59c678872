"""The call that lists files that clients cannot download for now."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import Syncer
from mirror_control.api.paging import LINK_HEADER, add_next_link
from mirror_control.client.schemas import HeldFilter, HeldPage
from mirror_control.problems import problem_responses

router = APIRouter(prefix="/held", tags=["policy"], responses=problem_responses(422, 429, 502, 503))


@router.get("", dependencies=[open_to_all], responses=LINK_HEADER)
async def find(
    syncer: Syncer, wanted: Annotated[HeldFilter, Query()], request: Request, response: Response
) -> HeldPage:
    """
    List the files that are held by the cooldown or blocked, each with the reason and the time of its publication.

    The project that changes next comes first, with its files in the order of their times. Files that no time publishes
    come last. A page may have fewer items than `limit`, or none; the list ends where `next` is null.
    """
    page = await syncer.list_held(wanted)
    add_next_link(page, request=request, response=response)
    return page
