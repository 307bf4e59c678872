"""
The one HTTP client for everything asked of upstream.

It keeps the budget of connections, retries what is worth it, obeys Retry-After, and follows redirects only to hosts
that may hold what was asked for. Its callers see whole answers (pages) or chunks (files), never a library's type.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mirror_syncer.errors import RefusedError, UnreachableError
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream.http.authorities import trusted_authorities
from mirror_syncer.upstream.http.budget import Budget
from mirror_syncer.upstream.http.credentials import Credentials
from mirror_syncer.upstream.http.curl import Curl, Options
from mirror_syncer.upstream.http.exchange import Exchanges
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.limits import Limits
from mirror_syncer.upstream.http.memory import PageMemory
from mirror_syncer.upstream.http.retries import Retries, RetryLaterError
from mirror_syncer.upstream.http.routes import Routes

_MIN_PROGRESS_BYTES = 2**20  # bytes that attempts bring together: a file that gets on is not given up


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer: status, headers in lower case, decompressed body, and the URL that it came from in the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a file came: from which URL in the end, and whether a cut would have been noticed."""

    url: str
    truncation_detectable: bool


class Sink(Protocol):
    """What a download is poured into; its errors end the download."""

    @property
    def position(self) -> int:
        """How many bytes it holds; a further attempt asks for the rest."""

    def restart(self) -> None:
        """Forget them: upstream sends the file from its beginning."""

    def write(self, chunk: bytes, /) -> None:
        """Take the next bytes."""


class Client:
    """
    GETs with retries, inside a budget of connections; used as a context, whose end closes them.

    Args:
        hosts: each ``host:port`` that may be asked, redirects included.
        ca_file: authorities that are trusted besides the system's.
        bandwidth: bytes a second, of all requests together; None: as many as come.
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
        self._limits = (limits or Limits()).for_bandwidth(bandwidth)
        self._retries = Retries(self._limits, on_retry=on_retry)
        self._memory = PageMemory(self._limits.max_page_bytes)
        self._user_agent = user_agent
        self._budget = budget
        self._hosts = hosts
        self._ca_file = ca_file
        self._bandwidth = bandwidth
        self._credentials = credentials
        self._on_request = on_request
        self._curl: Curl | None = None
        self._held = ExitStack()
        self._opened: Exchanges | None = None

    async def __aenter__(self) -> Self:
        options = Options(
            user_agent=self._user_agent,
            connections=self._budget.connections,
            connect_seconds=self._limits.connect_seconds,
            silence_seconds=self._limits.silence_seconds,
            authorities=self._held.enter_context(trusted_authorities(self._ca_file)),
            bandwidth=self._bandwidth,
        )
        self._curl = Curl(options)
        self._opened = Exchanges(
            self._curl,
            budget=self._budget,
            routes=Routes(self._hosts, credentials=self._credentials),
            credentials=self._credentials,
            min_bytes_per_second=self._limits.min_bytes_per_second,
            on_request=self._on_request,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._curl is not None:
            self._curl.close()
        self._held.close()

    @property
    def _exchanges(self) -> Exchanges:
        if self._opened is None:
            raise RuntimeError("the client is not open")
        return self._opened

    async def get(self, url: str, *, endpoint: str, headers: Mapping[str, str], priority: Priority) -> Response:
        """
        Return the answer to a GET, whole.

        Raises:
            UnreachableError: no final answer after all attempts.
            RefusedError: a redirect to a forbidden host, or a body over its own limit or the shared one.
        """

        async def attempt(failed: RetryLaterError | None) -> Response:
            body = bytearray()
            latest = time.monotonic() + self._limits.max_page_seconds

            def receive(_: Head, chunk: bytes) -> None:
                body.extend(chunk)
                self._memory.take(len(chunk))
                self._memory.check(url, len(body))
                if time.monotonic() > latest:
                    raise RefusedError(
                        f"{url}: {len(body):,} bytes in {self._limits.max_page_seconds:,.0f} s, and no end"
                    )

            try:
                head, place = await self._exchanges.get(
                    url,
                    endpoint=endpoint,
                    headers=headers,
                    encoding="gzip",
                    priority=priority,
                    failed=failed,
                    receive=receive,
                )
                return Response(head.status, head.headers, bytes(body), place)
            finally:
                self._memory.release(len(body))

        return await self._retries.over(attempt)

    def holding(self, url: str, size: int) -> AbstractContextManager[None]:
        """Count a page that is worked on; arguments and errors as in ``PageMemory.holding``."""
        return self._memory.holding(url, size)

    async def stream(
        self, url: str, sink: Sink, *, endpoint: str, headers: Mapping[str, str], priority: Priority
    ) -> Response:
        """
        Return the answer to a GET without its body, which goes to the sink, decompressed, where it is a 200's.

        Raises:
            UnreachableError, RefusedError: as by ``get``.
            BaseException: whatever the sink raises.
        """
        latest = time.monotonic() + self._limits.max_file_seconds

        async def attempt(failed: RetryLaterError | None) -> Response:
            sink.restart()

            def receive(head: Head, chunk: bytes) -> None:
                if head.status == HTTPStatus.OK:
                    self._check_time(url, sink, latest=latest)
                    sink.write(chunk)

            head, place = await self._exchanges.get(
                url,
                endpoint=endpoint,
                headers=headers,
                encoding="gzip",
                priority=priority,
                failed=failed,
                receive=receive,
            )
            return Response(head.status, head.headers, b"", place)

        return await self._retries.over(attempt)

    async def download(
        self, url: str, sink: Sink, *, endpoint: str, priority: Priority, resume: bool = True
    ) -> Delivery:
        """
        Pour a file into a sink; what the sink holds already is not asked for again.

        The sink checks what arrives. Cancellation leaves it with what it had.

        Args:
            resume: go on where an attempt stopped; else, of what nobody could check, each attempt begins again.

        Raises:
            UnreachableError: no complete answer after all attempts. Attempts count afresh after each megabyte received.
            RefusedError: upstream says no, redirects to where it must not go, or takes too long.
            BaseException: whatever the sink raises.
        """
        latest = time.monotonic() + self._limits.max_file_seconds

        async def attempt(failed: RetryLaterError | None) -> Delivery:
            begun = False
            if not resume:
                sink.restart()

            def receive(head: Head, chunk: bytes) -> None:
                nonlocal begun
                # Before the last byte is taken: what is whole would be asked for past its end.
                self._check_time(url, sink, latest=latest)
                if not begun and not _is_continuation(head, sink.position):
                    sink.restart()
                begun = True
                sink.write(chunk)

            headers = {"Range": f"bytes={sink.position}-"} if sink.position else {}
            head, place = await self._exchanges.get(
                url,
                endpoint=endpoint,
                headers=headers,
                encoding=None,
                priority=priority,
                failed=failed,
                receive=receive,
            )
            if head.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                sink.restart()  # what it holds is no beginning of the file
                raise RetryLaterError(f"{place}: answered 416 to a range", reason="range")
            if not head.has_content:
                raise RefusedError(f"{place}: answered {head.status_text}")
            return Delivery(place, truncation_detectable=head.truncation_detectable)

        while True:
            before = sink.position
            try:
                return await self._retries.over(attempt)
            except UnreachableError:
                if sink.position - before < _MIN_PROGRESS_BYTES:
                    raise

    def _check_time(self, url: str, sink: Sink, *, latest: float) -> None:
        if time.monotonic() > latest:
            raise RefusedError(
                f"{url}: {sink.position:,} bytes in {self._limits.max_file_seconds / 3_600:,.0f} h, and no end"
            )


def _is_continuation(head: Head, position: int) -> bool:
    # RFC 9110 15.3.7: a 206 says with Content-Range where its bytes belong
    return position == 0 or (
        head.status == HTTPStatus.PARTIAL_CONTENT
        and head.headers.get("content-range", "").startswith(f"bytes {position}-")
    )
