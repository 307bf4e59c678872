"""Calls for the policy: the one in force, and the check of a candidate for mirror.toml."""

from typing import Annotated

from fastapi import APIRouter, Body

from mirror_contract import PolicyCandidate, PolicyCheck, PolicyFile
from mirror_control.access.auth import needs_read
from mirror_control.api.dependencies import Syncer
from mirror_control.problems import problem_responses

router = APIRouter(prefix="/policy", tags=["policy"], responses=problem_responses(413, 422, 502, 503))

_EXAMPLES = [{"text": '[mirror]\nprojects = ["requests", "django>=5.2,<6"]\n'}]


@router.get("", dependencies=[needs_read], responses=problem_responses(401, 403))
async def show(syncer: Syncer) -> PolicyFile:
    """Return the policy in force in words, the mistakes of its file, and the file's text."""
    return await syncer.get_policy()


@router.post("/check", dependencies=[needs_read], responses=problem_responses(401, 403))
async def check(syncer: Syncer, candidate: Annotated[PolicyCandidate, Body(examples=_EXAMPLES)]) -> PolicyCheck:
    """
    Check a candidate: list its mistakes with lines, or count the projects and files that it would change.

    It judges the stored pages and asks upstream for nothing. If very many projects change, it judges the largest.
    """
    return await syncer.check_policy(candidate)
