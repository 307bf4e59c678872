"""Error responses: every answer with a status of 400 and above is an RFC 9457 problem."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from mirror_control.client.schemas import Problem
from mirror_control.client.validation_errors import explain_errors

MEDIA_TYPE = "application/problem+json"

_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}

_DETAILS = {
    HTTPStatus.NOT_FOUND: "Nothing is at this path; /api/docs lists all calls.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not support the method; the Allow header lists the supported ones.",
}


def reason_phrase(status: int) -> str:
    """Return a status's phrase by RFC 9110; Python before 3.13 has older phrases for two."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


def problem_response(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: object) -> Response:
    """Return the response for a problem whose title is the status's phrase."""
    title = reason_phrase(status)
    return to_response(
        Problem.model_validate({"title": title, "status": status, "detail": detail, **more}), headers=headers
    )


def to_response(problem: Problem, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as a response."""
    return Response(problem.model_dump_json(exclude_none=True), problem.status, headers, MEDIA_TYPE)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI ``responses`` of a call for its problem statuses."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": reason_phrase(status), "content": dict(content)} for status in statuses}


def install_handlers(app: FastAPI) -> None:
    """Turn exceptions of the framework, of invalid requests and of bugs into problems."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _internal_error)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = error.detail if error.detail != status.phrase else _DETAILS.get(status, reason_phrase(status))
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_allowed_methods(request))}
    return problem_response(error.status_code, detail, headers=headers)


def _allowed_methods(request: Request) -> list[str]:
    """Return all methods of a request's path; the framework reports only those of the first matching route."""

    def is_allowed(method: str) -> bool:
        scope = {**request.scope, "method": "GET" if method == "HEAD" else method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return [method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") if is_allowed(method)]


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = list(explain_errors(error.errors()))
    detail = "; ".join(f"{one.pointer}: {one.detail}" for one in errors[:3])
    return problem_response(422, detail, errors=[one.model_dump() for one in errors])


def _internal_error(_: Request, __: Exception) -> Response:
    return problem_response(500, "Control has a bug; `docker compose logs control` shows the traceback.")
