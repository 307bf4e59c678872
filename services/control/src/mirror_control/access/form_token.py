"""
Forms of the web page that change something or show what is not open to all: they carry the token as a field.

So every action works without scripts. The middleware moves the field into the ``Authorization`` header; from there on a
form is checked, limited and recorded like a call of the API. No cookie is involved, so another site can't send a form
in a visitor's name. A form that says that it comes from another site is refused all the same; over plain HTTP, one
without an origin says nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from mirror_control.access.named_tokens import Tokens
from mirror_control.access.token import TokenError
from mirror_control.problems import problem_response

FORM_TYPE: Final = "application/x-www-form-urlencoded"
TOKEN_FIELD: Final = "token"  # noqa: S105 a name
MAX_FORM_BYTES: Final = 16 << 10
"""A line of 2,000 characters and its reason, percent-encoded. What anybody may send is read up to here."""
_MAX_BYTES_OF: Final = {"/ui/policy/check": 1 << 20}
"""Forms that are longer, for a valid token, which is their first field: a whole mirror.toml."""
_MAX_FIELDS: Final = 20
_MAX_TOKEN_BYTES: Final = 2_000  # 512 characters, percent-encoded

_TOO_LONG: Final = "The form is longer than {:,} bytes; shorten its texts."
_FOREIGN: Final = "This form was sent by a page of another site. Open the mirror's own page, and send its form."
_NO_FORM: Final = f"The page takes forms of the type {FORM_TYPE}; programs use the API, see /api/docs."


def is_form(scope: Scope) -> bool:
    """Return whether a request is a form of the page."""
    path: str = scope.get("path", "")
    return scope["type"] == "http" and scope["method"] == "POST" and path.startswith("/ui/")


class FormToken:
    """Middleware that takes the token of a form from its field ``token``; ``form_of`` returns the others."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request; refuse a form of another site, of another type, or that is too long."""
        if not is_form(scope):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if _is_foreign(headers):
            return await problem_response(403, _FOREIGN)(scope, receive, send)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
            return await problem_response(415, _NO_FORM)(scope, receive, send)
        limit = _MAX_BYTES_OF.get(scope["path"], MAX_FORM_BYTES)
        body = await self._read(receive, limit=limit)
        if body is None:
            too_long = problem_response(413, _TOO_LONG.format(limit), headers={"Connection": "close"})
            return await too_long(scope, receive, send)
        try:
            # Of a megabyte it takes 0.1 s.
            fields = await asyncio.to_thread(_parse, body) if len(body) > MAX_FORM_BYTES else _parse(body)
        except ValueError:
            return await problem_response(422, "The form can't be read.")(scope, receive, send)
        token = next((value.strip() for name, value in fields if name == TOKEN_FIELD), "")
        scope.setdefault("state", {})["form"] = {name: value for name, value in fields if name != TOKEN_FIELD}
        # Without the password for reading, which a browser sends by itself.
        given = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
        if token:
            given.append((b"authorization", b"Bearer " + token.encode(errors="replace")))
        return await self._app({**scope, "headers": given}, receive, send)

    async def _read(self, receive: Receive, *, limit: int) -> bytes | None:
        """
        Return the body; None if it is too long.

        Without a valid token in front it is not read beyond ``MAX_FORM_BYTES``, and its beginning is returned: what
        follows answers 401.
        """
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return bytes(body)
            known = len(body) > MAX_FORM_BYTES
            body += message.get("body", b"")
            if len(body) > limit:
                return None
            if len(body) > MAX_FORM_BYTES and not known and not self._begins_with_a_token(body):
                return bytes(body[: body.find(b"&") + 1 or 0])
            if not message.get("more_body"):
                return bytes(body)

    def _begins_with_a_token(self, body: bytearray) -> bool:
        name, _, value = bytes(body[:_MAX_TOKEN_BYTES]).partition(b"&")[0].partition(b"=")
        try:
            return name == TOKEN_FIELD.encode() and self._tokens.find(unquote_to_bytes(value).strip()) is not None
        except TokenError:  # the next middleware says so
            return False


def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form without its token."""
    return cast("Mapping[str, str]", request.scope["state"]["form"])


def _parse(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)


def _is_foreign(headers: Headers) -> bool:
    """
    Return whether a browser says that another site sent this form.

    Over plain HTTP, browsers only send ``Origin``, which is ``null`` for the page's own forms: its ``Referrer-Policy``
    says so.
    """
    if (site := headers.get("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin", "null")
    # nginx passes on the host without its port; X-Forwarded-Host has it.
    hosts = {headers.get(name, "").rpartition("@")[2].lower() for name in ("host", "x-forwarded-host")}
    return origin != "null" and urlsplit(origin).netloc.lower() not in hosts
