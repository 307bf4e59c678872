"""The policy: judge a candidate for mirror.toml before it is in force."""

from typing import Annotated

from fastapi import APIRouter, Body

from mirror_contract import PolicyCandidate, PolicyCheck
from mirror_control.access.auth import reads
from mirror_control.api.dependencies import Syncer
from mirror_control.problems import answers

router = APIRouter(prefix="/policy", tags=["policy"], responses=answers(413, 422, 502, 503))

_EXAMPLES = [{"text": '[mirror]\nprojects = ["requests", "django>=5.2,<6"]\n'}]


@router.post("/check", dependencies=[reads], responses=answers(401, 403))
async def check(syncer: Syncer, candidate: Annotated[PolicyCandidate, Body(examples=_EXAMPLES)]) -> PolicyCheck:
    """Judge a candidate: each mistake with its line, and how many projects it would change. Changes nothing."""
    return await syncer.check_policy(candidate)
