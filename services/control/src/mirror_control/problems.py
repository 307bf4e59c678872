"""Errors as RFC 9457 problems: every answer of 400 and above, whoever caused it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from mirror_control.client.shapes import Problem
from mirror_control.client.validation_errors import faults

MEDIA_TYPE = "application/problem+json"

_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}

_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing here; /api/docs lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This can't be done here; the Allow header lists what can.",
}


def phrase(status: int) -> str:
    """Return what a status is called, by RFC 9110 on every Python: two have other names before 3.13."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


def problem_response(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: object) -> Response:
    """Return a problem without a type of its own: its title is the status's phrase."""
    title = phrase(status)
    return render(Problem.model_validate({"title": title, "status": status, "detail": detail, **more}), headers=headers)


def render(problem: Problem, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as an answer."""
    return Response(problem.model_dump_json(exclude_none=True), problem.status, headers, MEDIA_TYPE)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a call may answer with, for its ``responses`` in OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": phrase(status), "content": dict(content)} for status in statuses}


def install(app: FastAPI) -> None:
    """Turn what the framework, a request or a defect raises into problems."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _defect)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    told = error.detail if error.detail != status.phrase else _DETAILS.get(status, phrase(status))
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_methods(request))}
    return problem_response(error.status_code, told, headers=headers)


def _methods(request: Request) -> list[str]:
    """Return what can be done at a request's path: the framework tells of the first route there alone."""

    def there(method: str) -> bool:
        asked = {**request.scope, "method": "GET" if method == "HEAD" else method}
        return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)

    return [method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") if there(method)]


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = list(faults(error.errors()))
    told = "; ".join(f"{one.pointer}: {one.detail}" for one in errors[:3])
    return problem_response(422, told, errors=[one.model_dump() for one in errors])


def _defect(_: Request, __: Exception) -> Response:
    return problem_response(500, "A defect of control; its log has the traceback (docker compose logs control).")
