"""Projects: what is mirrored, and why something is not."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from mirror_contract import Project, ProjectName
from mirror_control.access.auth import everyone
from mirror_control.api.dependencies import Syncer
from mirror_control.api.paging import LINKED, link
from mirror_control.client.shapes import ProjectFilter, ProjectPage
from mirror_control.problems import answers

router = APIRouter(
    prefix="/projects", tags=["projects"], dependencies=[everyone], responses=answers(422, 429, 502, 503)
)


@router.get("", responses=LINKED)
async def find(
    syncer: Syncer, wanted: Annotated[ProjectFilter, Query()], request: Request, response: Response
) -> ProjectPage:
    """List projects by name, without their files."""
    page = await syncer.projects(wanted)
    link(page, request=request, response=response)
    return page


@router.get("/{name}", responses=answers(404))
async def show(
    syncer: Syncer, name: Annotated[ProjectName, Path(description="In any spelling.", examples=["requests"])]
) -> Project:
    """Look at a project: its state, why it is or isn't mirrored, its files, the last error."""
    return await syncer.project(name)
