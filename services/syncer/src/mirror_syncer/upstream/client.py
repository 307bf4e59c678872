"""
The one HTTP client for everything asked of upstream.

It keeps the budget of connections, retries what is worth it, obeys Retry-After, and follows redirects only to hosts
that may hold what was asked for. Its callers see whole answers (pages) or chunks (files), never a library's type.
"""

import asyncio
import email.utils
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import stamina
from yarl import URL

from mirror_syncer.errors import MirrorError, Refused, Unreachable, UpstreamError
from mirror_syncer.priority import Priority
from mirror_syncer.upstream.budget import Budget

T = TypeVar("T")

# Too slow, too early, too many, or broken just now. 501 and 505 would say the same again.
_LATER = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take."""

    attempts: int = 5
    connect_seconds: float = 15
    silence_seconds: float = 30
    """The longest pause between two reads."""
    slowest_bytes_a_second: int = 1024
    """Over the first minute and ever after: who drips slower is holding the connection, not using it."""
    wait_initial_seconds: float = 0.5
    wait_most_seconds: float = 30
    retry_after_most_seconds: float = 120
    """A server that wants a longer rest gets it: until the next run."""
    page_bytes: int = 256 * 2**20
    """A page of 100,000 files has about 80 MB."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: status, headers in lower case, decompressed body, and the URL that it came from in the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class Sink(Protocol):
    """What a download is poured into; its errors end the download."""

    @property
    def position(self) -> int:
        """How many bytes it holds; a further attempt asks for the rest."""

    def restart(self) -> None:
        """Forget them: upstream sends the file from its beginning."""

    def write(self, chunk: bytes, /) -> None:
        """Take the next bytes."""


class _TryLater(UpstreamError):
    """Worth another attempt; ``reason`` is a metric's label, one of few; ``wait`` is upstream's wish in seconds."""

    def __init__(self, message: str, *, reason: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.wait = wait


class Client:
    """
    GETs with retries, inside a budget of connections.

    Args:
        hosts: each ``host:port`` that may be asked, redirects included.
        on_request: told of each request as (endpoint, status or fault, seconds).
        on_retry: told each retry's reason.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        budget: Budget,
        hosts: frozenset[str],
        limits: Limits | None = None,
        ca_file: Path | None = None,
        on_request: Callable[[str, str, float], None] = lambda *_: None,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._user_agent = user_agent
        self._budget = budget
        self._hosts = hosts
        self._limits = limits or Limits()
        self._ca_file = ca_file
        self._on_request = on_request
        self._on_retry = on_retry
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context()
        if self._ca_file:
            context.load_verify_locations(cafile=self._ca_file)
        self._session = aiohttp.ClientSession(
            # limit=0: the budget knows priorities; the connector only keeps connections alive.
            connector=aiohttp.TCPConnector(limit=0, ssl=context, ttl_dns_cache=300, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._limits.connect_seconds, sock_read=self._limits.silence_seconds
            ),
            headers={"User-Agent": self._user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            # Not trust_env: that would send what a netrc holds for a host to every port of it. Proxies: see _proxy.
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, *, endpoint: str, headers: Mapping[str, str], priority: Priority) -> Answer:
        """
        Return the answer to a GET, whole.

        Raises:
            Unreachable: no final answer after all attempts.
            Refused: a redirect to where it must not go, or a body past all bounds.
        """

        async def attempt() -> Answer:
            async with self._response(url, endpoint=endpoint, headers=headers, priority=priority) as response:
                body = bytearray()
                async for chunk in self._chunks(response, url):
                    body += chunk
                    if len(body) > self._limits.page_bytes:
                        raise Refused(f"{url}: the answer is larger than {self._limits.page_bytes:,} bytes")
                lower = {key.lower(): value for key, value in response.headers.items()}
                return Answer(response.status, lower, bytes(body), str(response.url))

        return await self._retrying(attempt)

    async def download(self, url: str, sink: Sink, *, endpoint: str, priority: Priority) -> None:
        """
        Pour a file into a sink; what the sink holds already is not asked for again.

        The sink checks what arrives. Cancellation leaves it with what it had.

        Raises:
            Unreachable: no answer, or none that lasted, after all attempts. Attempts that get on are not counted.
            Refused: upstream says no.
        """

        async def attempt() -> None:
            headers = {"Accept-Encoding": "identity"}
            if sink.position:
                headers["Range"] = f"bytes={sink.position}-"
            async with self._response(url, endpoint=endpoint, headers=headers, priority=priority) as response:
                if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    sink.restart()  # what it holds is no beginning of the file
                    raise _TryLater(f"{url}: answered 416 to a range", reason="range")
                if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                    raise Refused(f"{url}: answered {_status(response)}")
                if not _continues(response, sink.position):
                    sink.restart()
                async for chunk in self._chunks(response, url):
                    sink.write(chunk)

        while True:
            before = sink.position
            try:
                return await self._retrying(attempt)
            except Unreachable:
                if sink.position - before < 2**20:
                    raise

    async def _retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        last: _TryLater | None = None

        def wait(error: Exception) -> bool | float:
            if not isinstance(error, _TryLater):
                return False
            return error.wait is None or (error.wait <= self._limits.retry_after_most_seconds and error.wait)

        try:
            async for trial in stamina.retry_context(
                on=wait,
                attempts=self._limits.attempts,
                timeout=None,
                wait_initial=self._limits.wait_initial_seconds,
                wait_max=self._limits.wait_most_seconds,
                wait_jitter=self._limits.wait_initial_seconds,
            ):
                with trial:
                    if last is not None:
                        self._on_retry(last.reason)
                    try:
                        return await attempt()
                    except _TryLater as error:
                        last = error
                        raise
        except _TryLater as error:
            raise Unreachable(str(error)) from error
        raise AssertionError("a retry context that neither returned nor raised")

    @asynccontextmanager
    async def _response(
        self, url: str, *, endpoint: str, headers: Mapping[str, str], priority: Priority
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the first response that is no redirect, holding one connection of the budget all the while."""
        if self._session is None:
            raise RuntimeError("the client is not open")
        outcome = "abandoned"
        async with self._budget.connection(priority):
            began = time.monotonic()
            try:
                for _ in range(_MOST_REDIRECTS + 1):
                    self._check_host(url)
                    # A head that drips, or is preceded by 103s without end, is bounded here; a body in _chunks.
                    async with asyncio.timeout(self._limits.connect_seconds + self._limits.silence_seconds):
                        response = await self._session.get(
                            URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=_proxy(url)
                        )
                    async with response:
                        outcome = str(response.status)
                        if response.status in _LATER:
                            raise _TryLater(
                                f"{url}: answered {_status(response)}",
                                reason=outcome,
                                wait=_retry_after(response.headers.get("Retry-After")),
                            )
                        if response.status not in _REDIRECTS or "Location" not in response.headers:
                            yield response
                            return
                        target = _target(url, response.headers["Location"])
                        if url.startswith("https:") and not target.startswith("https:"):
                            raise Refused(f"{url}: redirects from https to {target[:200]!r}")
                        url = target
                raise Refused(f"{url}: more than {_MOST_REDIRECTS} redirects")
            except MirrorError:
                raise  # ours, though some are OSErrors: a full disk is not upstream's fault
            except (aiohttp.ClientError, OSError) as error:
                outcome = "timeout" if isinstance(error, TimeoutError) else "connection"
                raise _TryLater(f"{url}: {_words(error)}", reason=outcome) from error
            finally:
                self._on_request(endpoint, outcome, time.monotonic() - began)

    async def _chunks(self, response: aiohttp.ClientResponse, url: str) -> AsyncIterator[bytes]:
        """Yield a body's bytes, decoded; a pause is measured between these, not between those on the wire."""
        loop = asyncio.get_running_loop()
        began, received = loop.time(), 0
        while True:
            async with asyncio.timeout(self._limits.silence_seconds):
                chunk = await response.content.readany()
            if not chunk:
                return
            yield chunk
            received += len(chunk)
            seconds = loop.time() - began
            if seconds > _PATIENCE_SECONDS and received < seconds * self._limits.slowest_bytes_a_second:
                raise _TryLater(f"{url}: {received:,} bytes in {seconds:.0f} s, too slow to be meant", reason="slow")

    def _check_host(self, url: str) -> None:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        if port is None or f"{parts.hostname}:{port}" not in self._hosts:
            raise Refused(
                f"{url[:200]!r}: {parts.netloc!r} is not a host of this upstream "
                f"({', '.join(sorted(self._hosts))}); if files may come from there, add it to MIRROR_FILE_HOSTS"
            )


def _continues(response: aiohttp.ClientResponse, position: int) -> bool:
    # RFC 9110 15.3.7: a 206 says with Content-Range where its bytes belong
    return position == 0 or (
        response.status == HTTPStatus.PARTIAL_CONTENT
        and response.headers.get("Content-Range", "").startswith(f"bytes {position}-")
    )


def _proxy(url: str) -> str | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a URL."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


def _target(url: str, location: str) -> str:
    """Return where a redirect leads; a port past 65535 is found out only when it is asked for."""
    try:
        target = urljoin(url, location)
        _ = urlsplit(target).port
    except ValueError as error:
        raise Refused(f"{url}: redirects to {location[:200]!r}, which is no URL: {error}") from error
    return target


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, in either of its forms (RFC 9110 10.2.3)."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _status(response: aiohttp.ClientResponse) -> str:
    # The reason is upstream's own text, in any bytes; what is said here is kept in the catalog.
    return ascii(f"{response.status} {response.reason}")[1:-1]


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
