"""The call that lists requirements that the mirror does not meet."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import Syncer
from mirror_control.api.paging import LINK_HEADER, add_next_link
from mirror_control.client.schemas import UnmetFilter, UnmetPage
from mirror_control.problems import problem_responses

router = APIRouter(prefix="/unmet", tags=["unmet"], responses=problem_responses(422, 429, 502, 503))


@router.get("", dependencies=[open_to_all], responses=LINK_HEADER)
async def find(
    syncer: Syncer, wanted: Annotated[UnmetFilter, Query()], request: Request, response: Response
) -> UnmetPage:
    """
    List the requirements that the mirror does not meet, each with its release, its machines and the reason.

    Lines and groups of mirror.toml that cannot be installed come first, with the words of the solver. Then come the
    requirements of kept releases by project. The list is empty where mirror.toml does not follow dependencies.
    """
    page = await syncer.list_unmet(wanted)
    add_next_link(page, request=request, response=response)
    return page
