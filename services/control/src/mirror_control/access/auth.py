"""Who may do what: by the right of the token that a request brings. Most reading is open to everyone."""

from typing import Annotated, Final, cast

import structlog
from fastapi import Depends, HTTPException, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from mirror_control.access.audit import READING, Sparing, whereabouts
from mirror_control.access.named_tokens import Tokens
from mirror_control.access.rights import Holder, Right
from mirror_control.access.token import TokenError
from mirror_control.problems import problem_response

log = structlog.get_logger(__name__)

_TOLD: Final = (
    "This call needs 'Authorization: Bearer <token>'; `docker compose exec control mirrorctl token` shows one."
)
_WRONG: Final = (
    "This token is not valid, or was revoked; `docker compose exec control mirrorctl token` shows the operator's."
)

_SCHEME: Final = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token's right is `read`, `trigger` or `remove`; each includes those before it. "
    "`docker compose exec control mirrorctl token` shows the operator's, which has all of them.",
)


def _needs(right: Right) -> Dependency:
    def check(request: Request, _: Annotated[object, Security(_SCHEME, scopes=[str(right)])]) -> None:
        require(request, right)

    return cast("Dependency", Depends(check))


def _everyone() -> None:
    """Ask for nothing."""


reads: Final = _needs(Right.READ)
triggers: Final = _needs(Right.TRIGGER)
everyone: Final = cast("Dependency", Depends(_everyone))
"""Each route declares one of these three; a route without one fails the tests."""


def require(request: Request, right: Right) -> Holder:
    """
    Return whose token the request brings, where that has a right, or more.

    Raises:
        HTTPException: 401 without a token, 403 with one that has less.
    """
    holder = cast("Holder | None", request.scope["state"].get("holder"))
    request.scope["state"]["right"] = right
    if holder is None:
        raise HTTPException(401, _TOLD, headers={"WWW-Authenticate": "Bearer"})
    if not holder.right.includes(right):
        # RFC 6750, 3.1.
        headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{right}"'}
        raise HTTPException(403, _told_of_right(holder, right), headers=headers)
    return holder


def _told_of_right(holder: Holder, right: Right) -> str:
    return (
        f"The token {holder.name!r} has the right {str(holder.right)!r}, and this needs {str(right)!r}: use another, "
        f"or make one (`docker compose exec control mirrorctl token create NAME --right {right}`)."
    )


class RequireToken:
    """
    Lets a changing method pass with a right ``Authorization: Bearer`` alone, and remembers whose token it is.

    It stands before all routes and goes by the method, so that no route can forget it, nobody learns without a
    token which paths exist for changing, and no body is read for a stranger. Which right it needs, a route declares.

    A token that comes along with a reading call is looked at as well: nginx, where it wants a password for reading,
    lets whoever brings a token through to here.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens
        self._sparing = Sparing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401; 503 while the token that it needs can't be read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        scope.setdefault("state", {})["holder"] = None
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, credential = given.partition(b" ")
        bearer = scheme.lower() == b"bearer"
        if scope["method"] in READING and not bearer:
            return await self._app(scope, receive, send)
        try:
            holder = self._tokens.find(credential.strip()) if bearer else None
        except TokenError as error:
            log.warning("token unusable", error=str(error))
            return await problem_response(503, str(error))(scope, receive, send)
        if holder is not None:
            scope["state"]["holder"] = holder
            return await self._app(scope, receive, send)
        # A stranger's flood must not push the audit's lines out of the log.
        if (unlogged := self._sparing.unlogged()) is not None:
            log.warning("refused without the token", **whereabouts(scope), unlogged=unlogged)
        # RFC 6750, 3: an error code only if a token was tried.
        challenge = 'Bearer error="invalid_token"' if given else "Bearer"
        told = _WRONG if given else _TOLD
        return await problem_response(401, told, headers={"WWW-Authenticate": challenge})(scope, receive, send)
