"""Who may change something: whoever holds the token. Reading is open, but not with a token that is none."""

import hmac

import structlog
from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from mirror_control.problems import problem_response
from mirror_control.token import TokenError, TokenFile

log = structlog.get_logger(__name__)

_TOLD = "A changing call needs 'Authorization: Bearer <token>'; `docker compose exec control mirrorctl token` shows it."

_WRONG = "This is not the token, or not any more; `docker compose exec control mirrorctl token` shows the one in force."

_READING = frozenset({"GET", "HEAD", "OPTIONS"})

# OpenAPI's word for it alone; RequireToken is what checks.
declared = Security(
    HTTPBearer(
        auto_error=False,
        scheme_name="token",
        description="`docker compose exec control mirrorctl token` shows it.",
    )
)


class RequireToken:
    """
    Lets a changing method pass with the right ``Authorization: Bearer`` alone.

    It stands before all routes and goes by the method, so that no route can forget it, nobody learns without a
    token which paths exist for changing, and no body is read for a stranger.

    A token that comes along with a reading call is looked at as well: nginx, where it wants a password for reading,
    lets whoever brings a token through to here.
    """

    def __init__(self, app: ASGIApp, *, token: TokenFile) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401; 503 while the token that it needs can't be read."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, credential = given.partition(b" ")
        bearer = scheme.lower() == b"bearer"
        if scope["method"] in _READING and not bearer:
            return await self._app(scope, receive, send)
        try:
            expected = self._token.current()
        except TokenError as error:
            log.warning("token unusable", error=str(error))
            return await problem_response(503, str(error))(scope, receive, send)
        if bearer and hmac.compare_digest(credential.strip(), expected):
            return await self._app(scope, receive, send)
        log.warning("refused without the token", method=scope["method"], path=scope["path"])
        # RFC 6750, 3: an error code only if a token was tried.
        challenge = 'Bearer error="invalid_token"' if given else "Bearer"
        told = _WRONG if given else _TOLD
        return await problem_response(401, told, headers={"WWW-Authenticate": challenge})(scope, receive, send)
