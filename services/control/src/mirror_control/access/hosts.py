"""
By which names the mirror is called: a web page of another name must not read it through its reader's browser.

DNS rebinding: a page of http://evil.example:8080 lets its name lead to the mirror's address, and reads what it likes,
since to the browser that is the page's own host. It cannot choose ``Host``, which says evil.example.
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

from mirror_control.access.audit import Sparing, whereabouts
from mirror_control.problems import problem_response

log = structlog.get_logger(__name__)

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_LISTED: Final = re.compile(rf"\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,254})(?::\d{1,5})?", re.ASCII)
# No public name server answers for these, so no page of the Internet has such a name: RFC 6761 and 8375, those that
# RFC 6762, G, says people use, and those that ICANN keeps back for them.
_PRIVATE: Final = frozenset(
    {"localhost", "local", "home.arpa", "internal", "intranet", "private", "corp", "home", "lan", "test"}
)


def parse_hosts(text: str) -> tuple[str, ...]:
    """
    Parse names that are separated by blanks or commas: ``mirror.example.org``, ``*.example.org``, or ``*``.

    Raises:
        ValueError: one is none.
    """
    found = tuple(name.lower().rstrip(".") for name in text.replace(",", " ").split())
    for name in found:
        if not _LISTED.fullmatch(name):
            raise ValueError(
                f"{name[:80]!r} is no host's name: without scheme and port, as in mirror.example.org or *.example.org"
            )
    return found


class Hosts:
    """
    The names that the mirror is called by.

    Args:
        listed: what the operator lists. Addresses, names without a dot, and names that the Internet does not have
            always count: a page can have none of them, or is the operator's own.
    """

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self._names = frozenset(listed)
        self._suffixes = tuple(name[1:] for name in self._names if name.startswith("*."))

    def knows(self, name: str) -> bool:
        """Return whether the mirror is called so."""
        if "." not in name or "*" in self._names or name in self._names or name.endswith(self._suffixes):
            return True
        if any(name.endswith(f".{suffix}") for suffix in _PRIVATE):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


class CheckHost:
    """
    Answers 421 to who calls the mirror by a name that it is not known by.

    Whoever brings a token is let through: no page has one. So is /healthz, which tells nothing.
    """

    def __init__(self, app: ASGIApp, *, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts
        self._sparing = Sparing()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] == "/healthz" or scope["state"].get("holder") is not None:
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("host", "")
        if not given:  # HTTP/1.0, which no browser speaks
            return await self._app(scope, receive, send)
        found = _HOST.fullmatch(given.lower())
        if found is None:
            return await _refuse(scope, HTTPStatus.BAD_REQUEST, "The header Host is no host.")(scope, receive, send)
        name = found["name"].strip("[]").rstrip(".")
        if found["name"].startswith("[") or self._hosts.knows(name):
            return await self._app(scope, receive, send)
        if (unlogged := self._sparing.unlogged()) is not None:
            log.warning("refused by the host's name", host=name, **whereabouts(scope), unlogged=unlogged)
        told = (
            f"This mirror is not known as {name}, and a name that nobody listed may be a web page's attack (DNS "
            f"rebinding). If it is yours, add it to those in .env, as in MIRROR_HOSTS={name}, then `docker compose up "
            "-d`; or call the mirror by its address."
        )
        return await _refuse(scope, HTTPStatus.MISDIRECTED_REQUEST, told)(scope, receive, send)


def _refuse(scope: Scope, status: HTTPStatus, told: str) -> Response:
    if scope["path"].startswith("/ui"):
        return PlainTextResponse(f"{status.value}: {told}\n", status.value)
    return problem_response(status.value, told)
