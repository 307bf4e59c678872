"""
Protection against DNS rebinding: requests must use one of the mirror's host names.

In this attack, the owner of evil.example points that name at the mirror's address. A page of http://evil.example:8080
can then read the mirror, because the visitor's browser takes it for the page's own host. But ``Host`` still says
evil.example, and the page cannot change it.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mirror_control.access.audit import LogRateLimit, describe_call
from mirror_control.problems import problem_response

log = structlog.get_logger(__name__)

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_LISTED_NAME: Final = re.compile(rf"\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,254})(?::\d{1,5})?", re.ASCII)
# Public DNS never resolves these, so no page of the Internet has such a name: RFC 6761, RFC 8375, the private names of
# RFC 6762, appendix G, and those that ICANN reserves.
_PRIVATE_SUFFIXES: Final = frozenset(
    {"localhost", "local", "home.arpa", "internal", "intranet", "private", "corp", "home", "lan", "test"}
)


def parse_hosts(text: str) -> tuple[str, ...]:
    """
    Parse host names separated by blanks or commas: ``mirror.example.org``, ``*.example.org`` or ``*``.

    Raises:
        ValueError: a name is invalid.
    """
    found = tuple(name.lower().rstrip(".") for name in text.replace(",", " ").split())
    for name in found:
        if not _LISTED_NAME.fullmatch(name):
            raise ValueError(
                f"{name[:80]!r} is not a host name; write mirror.example.org or *.example.org, without scheme and port"
            )
    return found


class Hosts:
    """
    The host names of the mirror.

    Args:
        listed: the operator's list. IP addresses, names without a dot and private names are always accepted: no page
            of the Internet can have them.
    """

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self._names = frozenset(listed)
        self._suffixes = tuple(name[1:] for name in self._names if name.startswith("*."))

    def includes(self, name: str) -> bool:
        """Return whether a name is one of the mirror's."""
        if "." not in name or "*" in self._names or name in self._names or name.endswith(self._suffixes):
            return True
        if any(name.endswith(f".{suffix}") for suffix in _PRIVATE_SUFFIXES):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


class CheckHost:
    """
    Middleware that answers 421 to requests whose host name is not the mirror's.

    It forwards requests with a valid token, which no attacking page has, and /healthz, which reveals nothing.
    """

    def __init__(self, app: ASGIApp, *, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts
        self._rate_limit = LogRateLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or refuse it."""
        if scope["type"] != "http" or scope["path"] == "/healthz" or scope["state"].get("holder") is not None:
            return await self._app(scope, receive, send)
        host = Headers(scope=scope).get("host", "")
        if not host:  # HTTP/1.0, which no browser speaks
            return await self._app(scope, receive, send)
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return await _refuse(scope, HTTPStatus.BAD_REQUEST, "The Host header is invalid.")(scope, receive, send)
        name = found["name"].strip("[]").rstrip(".")
        if found["name"].startswith("[") or self._hosts.includes(name):
            return await self._app(scope, receive, send)
        if (suppressed := self._rate_limit.admit()) is not None:
            log.warning(
                "request with an unknown host name refused", host=name, **describe_call(scope), suppressed=suppressed
            )
        detail = (
            f"{name} is not a name of this mirror, so this request may be a DNS rebinding attack. If the name is "
            f"yours, add it in .env (MIRROR_HOSTS={name}) and run `docker compose up -d`; or use the mirror's address."
        )
        return await _refuse(scope, HTTPStatus.MISDIRECTED_REQUEST, detail)(scope, receive, send)


def _refuse(scope: Scope, status: HTTPStatus, detail: str) -> Response:
    if scope["path"].startswith("/ui"):
        return PlainTextResponse(f"{status.value}: {detail}\n", status.value)
    return problem_response(status.value, detail)
