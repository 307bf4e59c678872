"""Authorization: each call needs a right, which the request's token grants. Most reading is open to everyone."""

from typing import Annotated, Final, cast

import structlog
from fastapi import Depends, HTTPException, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from mirror_control.access.audit import LogRateLimit, describe_call, is_reading
from mirror_control.access.named_tokens import Tokens
from mirror_control.access.rights import Right, TokenHolder
from mirror_control.access.token import TokenError
from mirror_control.problems import problem_response

log = structlog.get_logger(__name__)

_UNAUTHENTICATED: Final = (
    "This call needs 'Authorization: Bearer <token>'; `docker compose exec control mirrorctl token` shows a token."
)
_WRONG_CREDENTIAL: Final = (
    "This token is invalid or was revoked; `docker compose exec control mirrorctl token` shows the operator's token."
)

_SCHEME: Final = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token has the right `read`, `trigger` or `remove`; each right includes the ones before it. "
    "`docker compose exec control mirrorctl token` shows the operator's token, which has all rights.",
)


def _needs(right: Right) -> Dependency:
    def check(request: Request, _: Annotated[object, Security(_SCHEME, scopes=[str(right)])]) -> None:
        require_right(request, right)

    return cast("Dependency", Depends(check))


def _no_right() -> None:
    """Require no right."""


needs_read: Final = _needs(Right.READ)
needs_trigger: Final = _needs(Right.TRIGGER)
needs_remove: Final = _needs(Right.REMOVE)
open_to_all: Final = cast("Dependency", Depends(_no_right))
"""Every route declares one of these four; tests fail for a route without one."""


def require_right(request: Request, right: Right) -> TokenHolder:
    """
    Return the holder of the request's token if it has a right.

    Raises:
        HTTPException: 401 without a token; 403 if the token lacks the right.
    """
    holder = cast("TokenHolder | None", request.scope["state"].get("holder"))
    request.scope["state"]["right"] = right
    if holder is None:
        raise HTTPException(401, _UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"})
    if not holder.right.includes(right):
        # RFC 6750, 3.1.
        headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{right}"'}
        raise HTTPException(403, _insufficient_right(holder, right), headers=headers)
    return holder


def _insufficient_right(holder: TokenHolder, right: Right) -> str:
    return (
        f"The token {holder.name!r} has the right {str(holder.right)!r}, but this call needs {str(right)!r}. Use "
        f"another token, or create one (`docker compose exec control mirrorctl token create NAME --right {right}`)."
    )


class RequireToken:
    """
    Middleware that refuses changing methods without a valid ``Authorization: Bearer``, and records the token's holder.

    It runs before all routes and checks the method. So no route can forget it, a client without a token cannot find
    out which paths accept changes, and no body is read for it. Each route declares the right that it needs. Queries for
    advisories are the one exception: OSV's format sends them by POST, but they only read.

    It also checks a token on reading calls: if nginx requires a password for reading, it forwards requests that carry
    a token without checking the password.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens
        self._rate_limit = LogRateLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or answer 401; 503 while the token files can't be read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        scope.setdefault("state", {})["holder"] = None
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, credential = given.partition(b" ")
        bearer = scheme.lower() == b"bearer"
        if is_reading(scope) and not bearer:
            return await self._app(scope, receive, send)
        try:
            holder = self._tokens.find(credential.strip()) if bearer else None
        except TokenError as error:
            log.warning("token unusable", error=str(error))
            return await problem_response(503, str(error))(scope, receive, send)
        if holder is not None:
            scope["state"]["holder"] = holder
            return await self._app(scope, receive, send)
        # A flood of refused calls must not push the audit's lines out of the log.
        if (suppressed := self._rate_limit.admit()) is not None:
            log.warning("request without a valid token refused", **describe_call(scope), suppressed=suppressed)
        # RFC 6750, 3: an error code only if a token was tried.
        challenge = 'Bearer error="invalid_token"' if given else "Bearer"
        detail = _WRONG_CREDENTIAL if given else _UNAUTHENTICATED
        return await problem_response(401, detail, headers={"WWW-Authenticate": challenge})(scope, receive, send)
