"""Calls for releases: a person releases a version from the cooldown, or revokes that."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Header, Path, Request

from mirror_contract import Release, ReleaseRequest, Trigger
from mirror_control.access.auth import needs_read, needs_remove, require_right
from mirror_control.access.rights import Right
from mirror_control.api.dependencies import Syncer
from mirror_control.client.schemas import ReleasePage
from mirror_control.problems import problem_responses

router = APIRouter(prefix="/releases", tags=["releases"], responses=problem_responses(401, 403, 502, 503))

ReleaseId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,32}$", examples=["9f1c2d3e"])]
Origin = Annotated[Literal["api", "cli"], Header(alias="X-Trigger", description="The trigger to record for the run.")]

_EXAMPLES = [{"requirement": "django==5.2.19", "because": "CVE-2026-1234", "for": "14d"}]


@router.get("", dependencies=[needs_read])
async def find(syncer: Syncer) -> ReleasePage:
    """List the releases in force, with who made them and why."""
    return await syncer.list_releases()


@router.post("", status_code=201, dependencies=[needs_remove], responses=problem_responses(409, 413, 422))
async def add(
    syncer: Syncer,
    request: Request,
    wanted: Annotated[ReleaseRequest, Body(examples=_EXAMPLES)],
    *,
    trigger: Origin = "api",
) -> Release:
    """
    Publish one version now, even if the cooldown holds it or no line of mirror.toml selects it.

    Blocks and upstream's quarantine beat a release: the answer is 409 with the reason. The answer names the run that
    publishes the version, from upstream's last page. Another call for the same version replaces the release.
    """
    request.state.release = f"{wanted.requirement} for {wanted.valid_for}: {wanted.because}"
    holder = require_right(request, Right.REMOVE)
    release = await syncer.add_release(wanted, trigger=Trigger(trigger), by=holder.name)
    request.state.run = release.run
    return release


@router.delete("/{release_id}", dependencies=[needs_remove], responses=problem_responses(404, 422))
async def revoke(syncer: Syncer, request: Request, release_id: ReleaseId, *, trigger: Origin = "api") -> Release:
    """Revoke a release; a version that is still too young is held again. The answer names the run that does so."""
    release = await syncer.revoke_release(release_id, trigger=Trigger(trigger))
    request.state.run, request.state.release = release.run, release.requirement
    return release
