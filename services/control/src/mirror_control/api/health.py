"""Calls for liveness and readiness."""

from fastapi import APIRouter, Response

from mirror_control.access.auth import open_to_all
from mirror_control.access.token import TokenError
from mirror_control.api.dependencies import AccessLogIntake, AllTokens, Syncer
from mirror_control.client.api_client import ApiError
from mirror_control.client.schemas import Check, Readiness
from mirror_control.problems import problem_response, problem_responses

router = APIRouter(tags=["health"], dependencies=[open_to_all])


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """Return ok while control answers at all; if it does not, restart it."""
    return {"status": "ok"}


@router.get("/readyz", response_model=Readiness, responses=problem_responses(503))
async def ready(syncer: Syncer, tokens: AllTokens, intake: AccessLogIntake) -> Readiness | Response:
    """Return the result of each readiness check. A stale mirror is ready: alerts cover staleness."""
    checks = [await _syncer(syncer), _token(tokens), _access_log(intake)]
    failed = [check for check in checks if not check.ok]
    if not failed:
        return Readiness(checks=checks)
    detail = "; ".join(f"{check.name}: {check.detail}" for check in failed)
    return problem_response(503, detail, headers={"Retry-After": "5"}, checks=[check.model_dump() for check in checks])


async def _syncer(syncer: Syncer) -> Check:
    try:
        await syncer.get_status()
    except ApiError as error:
        return Check(name="syncer", ok=False, detail=f"{error}; see `docker compose logs syncer`")
    return Check(name="syncer", ok=True, detail="answers")


def _token(tokens: AllTokens) -> Check:
    try:
        tokens.operator.current()
    except TokenError as error:
        return Check(name="token", ok=False, detail=str(error))
    return Check(name="token", ok=True, detail="readable")


def _access_log(intake: AccessLogIntake) -> Check:
    return Check(name="access log", ok=intake.error is None, detail=intake.error or "counted")
