"""Calls for projects: what is mirrored, and why a project is not."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from mirror_contract import Project, ProjectName
from mirror_control.access.auth import open_to_all
from mirror_control.api.dependencies import Syncer
from mirror_control.api.paging import LINK_HEADER, add_next_link
from mirror_control.client.schemas import ProjectFilter, ProjectPage
from mirror_control.problems import problem_responses

router = APIRouter(
    prefix="/projects", tags=["projects"], dependencies=[open_to_all], responses=problem_responses(422, 429, 502, 503)
)


@router.get("", responses=LINK_HEADER)
async def find(
    syncer: Syncer, wanted: Annotated[ProjectFilter, Query()], request: Request, response: Response
) -> ProjectPage:
    """
    List or search projects, without their files.

    On a mirror of hundreds of thousands of projects, a search may miss what changed in the last minutes. A page may
    have fewer items than `limit`; the list ends where `next` is null.
    """
    page = await syncer.list_projects(wanted)
    add_next_link(page, request=request, response=response)
    return page


@router.get("/{name}", responses=problem_responses(404))
async def show(
    syncer: Syncer, name: Annotated[ProjectName, Path(description="In any spelling.", examples=["requests"])]
) -> Project:
    """Return a project: its state, why it is or is not mirrored, its files, and its last error."""
    return await syncer.get_project(name)
