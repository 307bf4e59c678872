"""Health: whether control lives, and whether it can do its work."""

from fastapi import APIRouter, Response

from mirror_control.access.auth import everyone
from mirror_control.access.token import TokenError
from mirror_control.api.dependencies import AccessLogIntake, AllTokens, Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.shapes import Check, Readiness
from mirror_control.problems import answers, problem_response

router = APIRouter(tags=["health"], dependencies=[everyone])


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """Say that control answers, and nothing else: whoever gets no answer should restart it."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Readiness, responses=answers(503))
async def ready(syncer: Syncer, tokens: AllTokens, intake: AccessLogIntake) -> Readiness | Response:
    """Say what is wrong, check by check. A stale mirror is no matter of readiness but of an alert."""
    checks = [await _syncer(syncer), _token(tokens), _access_log(intake)]
    wrong = [check for check in checks if not check.ok]
    if not wrong:
        return Readiness(checks=checks)
    told = "; ".join(f"{check.name}: {check.detail}" for check in wrong)
    return problem_response(503, told, headers={"Retry-After": "5"}, checks=[check.model_dump() for check in checks])


async def _syncer(syncer: Syncer) -> Check:
    try:
        await syncer.status()
    except ApiError as error:
        return Check(name="syncer", ok=False, detail=f"{error}; see `docker compose logs syncer`")
    return Check(name="syncer", ok=True, detail="answers")


def _token(tokens: AllTokens) -> Check:
    try:
        tokens.operator.current()
    except TokenError as error:
        return Check(name="token", ok=False, detail=str(error))
    return Check(name="token", ok=True, detail="can be read")


def _access_log(intake: AccessLogIntake) -> Check:
    return Check(name="access log", ok=intake.trouble is None, detail=intake.trouble or "is counted")
