"""A rule: its target, its number of requests, and its faults."""

import asyncio
import gzip
import random
from base64 import b64encode
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Self

from aiohttp import hdrs, web
from multidict import CIMultiDict

from fakepypi import delivery
from fakepypi.answer import Answer
from fakepypi.gate import Gate
from fakepypi.pages import Document
from fakepypi.target import Target

_LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>"


class Rule:
    """
    Faults for the requests of a target; verbs can be chained, and all of them apply.

    Rules act in this order: waiting, the page's content, the answer, how it is sent.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.left: int | None = None  # None: no limit
        self.met = 0
        self._share = 1.0
        self._dice = random.Random()
        self.is_stale = False
        self.is_html_only = False
        self.ignores_ranges = False
        self.waits: list[Callable[[], Awaitable[object]]] = []
        self.edits: list[Callable[[Document], object]] = []
        self.changes: list[Callable[[web.Request, Answer], None]] = []
        self.delivery: delivery.Delivery | None = None
        self.gates: list[Gate] = []

    def times(self, count: int) -> Self:
        """Apply this many times, then no longer."""
        self.left = count
        return self

    def sometimes(self, share: float, *, dice: random.Random) -> Self:
        """Apply to this share of the requests, at random."""
        self._share, self._dice = share, dice
        return self

    def applies(self) -> bool:
        """Whether the rule applies to a request, which it counts."""
        if self.left == 0 or self._dice.random() >= self._share:
            return False
        if self.left is not None:
            self.left -= 1
        self.met += 1
        return True

    # Waiting

    def delay(self, seconds: float) -> Self:
        """Answer late."""
        self.waits.append(partial(asyncio.sleep, seconds))
        return self

    def gate(self) -> Gate:
        """Hold requests until the returned gate is opened."""
        gate = Gate()
        self.gates.append(gate)
        self.waits.append(gate.hold)
        return gate

    # The page's content

    def stale(self) -> Self:
        """Show the page and its serial from before the last change, like a cache that was not purged yet."""
        self.is_stale = True
        return self

    def html_only(self) -> Self:
        """Answer HTML, whatever Accept says: an upstream without PEP 691."""
        self.is_html_only = True
        return self

    def edit(self, change: Callable[[Document], object]) -> Self:
        """Change a page's document before it is written as JSON or HTML; its ETag follows."""
        self.edits.append(change)
        return self

    def edit_files(self, **fields: object) -> Self:
        """Give fields of all files on the page other values: ``edit_files(size=1)``."""

        def change(document: Document) -> None:
            for file in document.get("files", ()):
                file.update(fields)

        return self.edit(change)

    def wrong_hash(self) -> Self:
        """Name a hash that no file has."""
        return self.edit_files(hashes={"sha256": "0" * 64})

    def wrong_size(self) -> Self:
        """Name a size that no file has."""
        return self.edit_files(size=7)

    def file_url(self, url: str) -> Self:
        """Give all files this URL: ``../../../etc/passwd``, or another host's."""
        return self.edit_files(url=url)

    def named(self, name: str) -> Self:
        """Give the page another project's name: ``/etc/x``."""
        return self.edit(partial(dict.update, name=name))

    def without_serials(self) -> Self:
        """Omit serials, like upstreams other than PyPI: neither in the header nor in the document."""

        def change(document: Document) -> None:
            document.pop("last_serial", None)  # the legacy JSON's
            for part in (document.get("meta", {}), *document.get("projects", ())):
                part.pop("_last-serial", None)

        return self.edit(change).without("X-PyPI-Last-Serial")

    # The answer

    def change(self, change: Callable[[web.Request, Answer], None]) -> Self:
        """Change the answer when it is complete."""
        self.changes.append(change)
        return self

    def status(self, code: int, *, retry_after: int | str | None = None) -> Self:
        """Answer with a status and, if given, Retry-After: seconds, or an HTTP date."""
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return self._instead(code, headers, HTTPStatus(code).phrase.encode())

    def redirect(self, location: str, *, code: int = HTTPStatus.FOUND) -> Self:
        """Redirect to another URL."""
        return self._instead(code, {hdrs.LOCATION: location})

    def redirect_loop(self) -> Self:
        """Redirect to the requested URL."""

        def change(request: web.Request, answer: Answer) -> None:
            _replace(answer, HTTPStatus.FOUND, {hdrs.LOCATION: request.raw_path})

        return self.change(change)

    def login_page(self) -> Self:
        """Answer 200 with an HTML form, as a captive portal does."""
        return self._instead(HTTPStatus.OK, {hdrs.CONTENT_TYPE: "text/html; charset=utf-8"}, _LOGIN_PAGE)

    def require_login(self, user: str, password: str) -> Self:
        """Answer 401 to requests without these credentials."""
        wanted = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"

        def change(request: web.Request, answer: Answer) -> None:
            if request.headers.get(hdrs.AUTHORIZATION) != wanted:
                _replace(answer, HTTPStatus.UNAUTHORIZED, {hdrs.WWW_AUTHENTICATE: 'Basic realm="fakepypi"'})

        return self.change(change)

    def without(self, *headers: str) -> Self:
        """Omit headers."""

        def change(_request: web.Request, answer: Answer) -> None:
            for header in headers:
                answer.headers.popall(header, None)

        return self.change(change)

    def corrupt(self) -> Self:
        """Send the right length with another last byte."""

        def change(_request: web.Request, answer: Answer) -> None:
            if answer.body:
                answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 0xFF])

        return self.change(change)

    def shortened(self, at: float = 0.5) -> Self:
        """Send a part and promise only that: only size and hash can reveal it."""

        def change(_request: web.Request, answer: Answer) -> None:
            answer.body = answer.body[: int(len(answer.body) * at)]

        return self.change(change)

    def broken_gzip(self) -> Self:
        """Send bytes that begin as gzip and cannot be unpacked, with the right Content-Length."""

        def change(_request: web.Request, answer: Answer) -> None:
            answer.headers[hdrs.CONTENT_ENCODING] = "gzip"
            answer.body = gzip.compress(b"")[:10] + b"\xff" * len(answer.body)  # a header, and no deflate block

        return self.change(change)

    def ignore_ranges(self) -> Self:
        """Answer 200 with the whole file to a request for a range."""
        self.ignores_ranges = True
        return self

    # How the answer is sent

    def cut(self, at: float = 0.5) -> Self:
        """Promise the whole body, send a part of it, and close."""
        self.delivery = delivery.cut(at)
        return self

    def reset(self, at: float = 0.5) -> Self:
        """Promise the whole body, send a part of it, and reset the connection."""
        self.delivery = delivery.reset(at)
        return self

    def wrong_length(self, more: int) -> Self:
        """Promise this many bytes more than are sent, or fewer if below 0."""
        self.delivery = delivery.wrong_length(more)
        return self

    def drip(self, *, size: int = 1, every: float = 0.05) -> Self:
        """Send this many bytes at a time, with a pause after each."""
        self.delivery = delivery.drip(size=size, every=every)
        return self

    def endless(self, *, limit: int = 256 * 1024 * 1024) -> Self:
        """Send the body, then zeros until the client disconnects or the limit is reached."""
        self.delivery = delivery.endless(limit=limit)
        return self

    def _instead(self, code: int, headers: dict[str, str], body: bytes = b"") -> Self:
        return self.change(lambda _request, answer: _replace(answer, code, headers, body))


def _replace(answer: Answer, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    answer.status, answer.headers, answer.body = status, CIMultiDict({hdrs.CONTENT_TYPE: "text/plain"} | headers), body
