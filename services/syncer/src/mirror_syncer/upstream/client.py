"""
The one HTTP client for everything asked of upstream.

It keeps the budget of connections, retries what is worth it, obeys Retry-After, and follows redirects only to hosts
that may hold what was asked for. Its callers see whole answers (pages) or chunks (files), never a library's type.
"""

import email.utils
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import stamina

from mirror_syncer.errors import Refused, Unreachable, UpstreamError
from mirror_syncer.priority import Priority
from mirror_syncer.upstream.authorities import authorities
from mirror_syncer.upstream.budget import Budget
from mirror_syncer.upstream.credentials import Credentials
from mirror_syncer.upstream.curl import Curl, Head, Options, Receive, TransferError
from mirror_syncer.upstream.proxies import Proxy, proxy_for

T = TypeVar("T")

# Too slow, too early, too many, or broken just now. 501 and 505 would say the same again.
_LATER = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_SCHEME_MOST = len("https://")
_PATIENCE_SECONDS = 60
_PROXIES_MOST = 100  # origins that are remembered: pages may write one host in any number of ways
_UNWANTED_MOST = 2**20  # of a body that nobody reads, such as an error's
_SMALL = 4 * 2**20  # bytes of a page; on PyPI a few hundred projects have more
_CONTENT = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})


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
    """A page of 100,000 files has about 80 MB. All that are under way have no more together, but for small ones."""
    page_seconds: float = 600
    """For a page in one attempt: nine that come at 2 kB/s would hold up all others for days."""
    file_seconds: float = 36_000
    """
    For a file, or the list of projects, in one turn, all attempts together: 10 GB at 1.1 kB/s would hold its connection
    for 105 days. At the slowest rate it is 35 MiB; of larger files what has arrived is kept, so slow lines go on later.
    """


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
        bandwidth: int | None = None,
        credentials: Credentials | None = None,
        on_request: Callable[[str, str, float], None] = lambda *_: None,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._user_agent = user_agent
        self._budget = budget
        self._hosts = hosts
        self._limits = limits or Limits()
        self._ca_file = ca_file
        self._bandwidth = bandwidth
        # Who is slow because we are must not be blamed: a bandwidth is shared by up to 800 streams.
        self._slowest = min(self._limits.slowest_bytes_a_second, (bandwidth or 2**40) // 1_000)
        # For the same reason longer: what is not kept for the next turn, up to 32 MiB, must come whole in one.
        self._file_seconds = self._limits.file_seconds * self._limits.slowest_bytes_a_second / max(1, self._slowest)
        self._credentials = credentials
        self._on_request = on_request
        self._on_retry = on_retry
        self._curl: Curl | None = None
        self._held = 0
        """Bytes of all pages under way, or worked on."""
        self._proxies: dict[str, Proxy | None] = {}
        """By scheme and host of what may be asked; looking each up took a twentieth of a sync."""
        self._bundle: Path | None = None

    async def __aenter__(self) -> Self:
        self._bundle = authorities(self._ca_file)
        options = Options(
            user_agent=self._user_agent,
            connections=self._budget.connections,
            connect_seconds=self._limits.connect_seconds,
            silence_seconds=self._limits.silence_seconds,
            authorities=self._bundle,
            bandwidth=self._bandwidth,
        )
        self._curl = Curl(options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._curl is not None:
            self._curl.close()

    async def get(self, url: str, *, endpoint: str, headers: Mapping[str, str], priority: Priority) -> Answer:
        """
        Return the answer to a GET, whole.

        Raises:
            Unreachable: no final answer after all attempts.
            Refused: a redirect to where it must not go, or a body past all bounds, its own or those of all together.
        """

        async def attempt() -> Answer:
            body, most = bytearray(), self._limits.page_bytes
            latest = time.monotonic() + self._limits.page_seconds

            def receive(_: Head, chunk: bytes) -> None:
                body.extend(chunk)
                self._held += len(chunk)
                if len(body) > most:
                    raise Refused(f"{url}: the answer is larger than {most:,} bytes")
                if time.monotonic() > latest:
                    raise Refused(f"{url}: {len(body):,} bytes in {self._limits.page_seconds:,.0f} s, and no end")
                # 250 kB of gzip become 250 MB; ten at once took 2.4 GB, and HTTP/2 brings eighty.
                self._check_held(url, len(body))

            try:
                head, place = await self._exchange(
                    url, endpoint=endpoint, headers=headers, encoding="gzip", priority=priority, receive=receive
                )
                return Answer(head.status, head.headers, bytes(body), place)
            finally:
                self._held -= len(body)

        return await self._retrying(attempt)

    @contextmanager
    def holding(self, url: str, size: int) -> Iterator[None]:
        """
        Count a page among those under way for as long as it is worked on, which its downloads may make hours.

        Raises:
            Refused: it is one too many.
        """
        self._held += size
        try:
            self._check_held(url, size)
            yield
        finally:
            self._held -= size

    def _check_held(self, url: str, size: int) -> None:
        if self._held > (most := self._limits.page_bytes) and size > _SMALL:
            raise Refused(f"{url}: the answers under way are larger than {most:,} bytes together")

    async def stream(
        self, url: str, sink: Sink, *, endpoint: str, headers: Mapping[str, str], priority: Priority
    ) -> Answer:
        """
        Return the answer to a GET without its body, which goes to the sink, decompressed, where it is a 200's.

        Raises:
            Unreachable, Refused: as by ``get``; what the sink raises ends it, too.
        """
        latest = time.monotonic() + self._file_seconds

        async def attempt() -> Answer:
            sink.restart()

            def receive(head: Head, chunk: bytes) -> None:
                if head.status == HTTPStatus.OK:
                    self._check_time(url, sink, latest=latest)
                    sink.write(chunk)

            head, place = await self._exchange(
                url, endpoint=endpoint, headers=headers, encoding="gzip", priority=priority, receive=receive
            )
            return Answer(head.status, head.headers, b"", place)

        return await self._retrying(attempt)

    async def download(self, url: str, sink: Sink, *, endpoint: str, priority: Priority) -> None:
        """
        Pour a file into a sink; what the sink holds already is not asked for again.

        The sink checks what arrives. Cancellation leaves it with what it had.

        Raises:
            Unreachable: no answer, or none that lasted, after all attempts. Attempts that get on are not counted.
            Refused: upstream says no, or takes too long.
        """
        latest = time.monotonic() + self._file_seconds

        async def attempt() -> None:
            begun = False

            def receive(head: Head, chunk: bytes) -> None:
                nonlocal begun
                if head.status not in _CONTENT:
                    return
                # Before the last byte is taken: what is whole would be asked for past its end.
                self._check_time(url, sink, latest=latest)
                if not begun and not _continues(head, sink.position):
                    sink.restart()
                begun = True
                sink.write(chunk)

            headers = {"Range": f"bytes={sink.position}-"} if sink.position else {}
            head, place = await self._exchange(
                url, endpoint=endpoint, headers=headers, encoding=None, priority=priority, receive=receive
            )
            if head.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                sink.restart()  # what it holds is no beginning of the file
                raise _TryLater(f"{place}: answered 416 to a range", reason="range")
            if head.status not in _CONTENT:
                raise Refused(f"{place}: answered {head.words}")

        while True:
            before = sink.position
            try:
                return await self._retrying(attempt)
            except Unreachable:
                if sink.position - before < 2**20:
                    raise

    def _check_time(self, url: str, sink: Sink, *, latest: float) -> None:
        if time.monotonic() > latest:
            raise Refused(f"{url}: {sink.position:,} bytes in {self._file_seconds / 3_600:,.0f} h, and no end")

    async def _retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            return await attempt()  # the rule; what retries need costs 0.1 ms, and is set up when one is needed
        except _TryLater as error:
            failed: _TryLater | None = error

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
                    if failed is not None:
                        self._on_retry(failed.reason)
                        first, failed = failed, None
                        raise first  # it was the first of the attempts
                    try:
                        return await attempt()
                    except _TryLater as error:
                        if trial.num < self._limits.attempts:
                            self._on_retry(error.reason)
                        raise
        except _TryLater as error:
            raise Unreachable(str(error)) from error
        raise AssertionError("a retry context that neither returned nor raised")

    async def _exchange(
        self,
        url: str,
        *,
        endpoint: str,
        headers: Mapping[str, str],
        encoding: str | None,
        priority: Priority,
        receive: Receive,
    ) -> tuple[Head, str]:
        """Return the first answer that is no redirect, and whose it is; its body goes to ``receive``."""
        if not self._budget.take(priority):
            await self._budget.wait(priority)
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                head = await self._one(url, endpoint, headers=headers, encoding=encoding, receive=receive)
                if head.multiplexed:
                    self._budget.widen()
                else:
                    self._budget.narrow()
                if head.status in _CONTENT:
                    break
                if head.status in _LATER:
                    raise _TryLater(
                        f"{url}: answered {head.words}",
                        reason=str(head.status),
                        wait=_retry_after(head.headers.get("retry-after")),
                    )
                if head.status not in _REDIRECTS or "location" not in head.headers:
                    break
                target = _target(url, head.headers["location"])
                if url.startswith("https:") and not target.startswith("https:"):
                    raise Refused(f"{url}: redirects from https to {target[:200]!r}")
                url = target
            else:
                raise Refused(f"{url}: more than {_MOST_REDIRECTS} redirects")
            return head, url
        finally:
            self._budget.give_back()

    async def _one(
        self, url: str, endpoint: str, *, headers: Mapping[str, str], encoding: str | None, receive: Receive
    ) -> Head:
        """GET a URL. Patience is measured between decoded bytes: who drips anything else drips in vain."""
        if self._curl is None:
            raise RuntimeError("the client is not open")
        proxy = self._way(url)
        began, received, outcome = time.monotonic(), 0, "abandoned"

        def take(head: Head, chunk: bytes) -> None:
            nonlocal received
            received += len(chunk)
            if head.status in _CONTENT:
                receive(head, chunk)
            elif received > _UNWANTED_MOST:
                raise _TryLater(f"{url}: answered {head.words} with an endless body", reason=str(head.status))
            passed = time.monotonic() - began
            if passed > _PATIENCE_SECONDS and received < passed * self._slowest:
                raise _TryLater(f"{url}: {received:,} bytes in {passed:.0f} s: too slow", reason="slow")

        try:
            if self._credentials is not None:
                headers = {**headers, **self._credentials.headers(url)}  # of each hop's own URL
            head = await self._curl.get(url, headers=headers, encoding=encoding, proxy=proxy, receive=take)
            outcome = str(head.status)
        except TransferError as error:
            outcome = "timeout" if error.timeout else "connection"
            raise _TryLater(f"{url}: {'no answer in time' if error.timeout else error}", reason=outcome) from error
        finally:
            self._on_request(endpoint, outcome, time.monotonic() - began)
        return head

    def _way(self, url: str) -> Proxy | None:
        """Return what ``_proxy`` says, remembered, with the login that is in force now."""
        slash = url.find("/", _SCHEME_MOST)
        # A URL that is an origin alone has no slash; what lacks its last character is another host's.
        origin = url if slash < 0 else url[:slash]
        if origin in self._proxies:
            proxy = self._proxies[origin]
        else:
            proxy = self._proxy(url)
            if len(self._proxies) < _PROXIES_MOST:
                self._proxies[origin] = proxy
        if proxy is None or proxy.login is not None or self._credentials is None:
            return proxy
        return replace(proxy, login=self._credentials.of_proxy(proxy.host))

    def _proxy(self, url: str) -> Proxy | None:
        """
        Return the proxy for a URL's host, if there is one.

        Raises:
            Refused: the host may not be asked at all.
        """
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        # No user in a URL: what stands before an '@' is there for readers who take it for the host.
        if port is None or "@" in parts.netloc or f"{parts.hostname}:{port}" not in self._hosts:
            raise Refused(
                f"{url[:200]!r}: {parts.netloc!r} is not a host of this upstream "
                f"({', '.join(sorted(self._hosts))}); if files may come from there, add it to MIRROR_FILE_HOSTS"
            )
        return proxy_for(url)


def _continues(head: Head, position: int) -> bool:
    # RFC 9110 15.3.7: a 206 says with Content-Range where its bytes belong
    return position == 0 or (
        head.status == HTTPStatus.PARTIAL_CONTENT
        and head.headers.get("content-range", "").startswith(f"bytes {position}-")
    )


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
