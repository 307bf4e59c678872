"""Errors of the private API as RFC 9457 problems, and the refusal of browsers."""

import json
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import structlog
from aiohttp import web

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProblemError(Exception):
    """An error response, as RFC 9457 defines it."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        retry_after: int | None = None,
        **more: Any,  # noqa: ANN401 - JSON
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.more = more


def invalid_request(pointer: str, detail: str) -> ProblemError:
    """Return the problem of a request with one error."""
    errors = [{"pointer": pointer, "detail": detail}]
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{pointer}: {detail}", errors=errors)


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into application/problem+json, as RFC 9457 defines it."""
    try:
        return await handler(request)
    except ProblemError as problem:
        answer = _problem(problem.status, str(problem), **problem.more)
        answer.headers.update(problem.headers)
        return answer
    except web.HTTPException as error:
        return _problem(HTTPStatus(error.status), error.reason)
    except Exception as error:
        log.exception("request failed", method=request.method, path=request.path, reason=str(error))
        return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The syncer failed; its log has the error.")


@web.middleware
async def refuse_browsers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Refuse requests of browsers: the API needs no token, and a web page could call it on its reader's own host.

    A page of another origin sends ``Origin`` with each changing request. A page that reaches this host by DNS rebinding
    sends its own name as ``Host``.
    """
    host = request.headers.get("Host", "localhost")
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers or not _is_this_host(host):
        raise ProblemError(
            HTTPStatus.FORBIDDEN, "This API is for programs on this host; use control's API in a browser."
        )
    return await handler(request)


def _is_this_host(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) and not host.endswith("]") else host
    name = name.removeprefix("[").removesuffix("]")
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _problem(status: HTTPStatus, detail: str, **more: Any) -> web.Response:  # noqa: ANN401 - JSON
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, **more}
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/problem+json")
