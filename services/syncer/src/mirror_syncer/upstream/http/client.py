"""
The HTTP client for all requests to upstream.

It keeps to the connection budget, retries transient failures, obeys Retry-After, and follows redirects only to
allowed hosts. Callers receive whole responses (pages) or chunks (files), never a type of the HTTP library.
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

_MIN_PROGRESS_BYTES = 2**20  # that all attempts together must receive to earn a new series of attempts


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response: status, headers in lower case, decompressed body, and the URL after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished download: the URL after redirects, and whether a truncated body would have been noticed."""

    url: str
    truncation_detectable: bool


class Sink(Protocol):
    """A destination for a download; an error that it raises ends the download."""

    @property
    def position(self) -> int:
        """The number of bytes it holds; the next attempt requests the rest."""

    def restart(self) -> None:
        """Discard all bytes, because upstream sends the file from its beginning."""

    def write(self, chunk: bytes, /) -> None:
        """Append the next bytes."""


class Client:
    """
    A client for GET requests with retries and a connection budget; as a context manager, it closes its connections.

    Args:
        hosts: each allowed ``host:port``, also for redirects.
        ca_file: a PEM file of authorities, trusted in addition to the system's.
        bandwidth: limit in bytes per second for all requests together; None for no limit.
        on_request: called after each request with (endpoint, status or failure, seconds).
        on_retry: called with the reason of each retry.
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
        Return the whole response to a GET.

        Raises:
            UnreachableError: all attempts failed.
            RefusedError: a redirect to a forbidden host, or a body over its own or the shared limit.
        """

        async def attempt(failed: RetryLaterError | None) -> Response:
            body = bytearray()
            latest = time.monotonic() + self._limits.max_page_seconds

            def receive(_: Head, chunk: bytes) -> None:
                body.extend(chunk)
                self._memory.add(len(chunk))
                self._memory.check_size(url, len(body))
                if time.monotonic() > latest:
                    raise RefusedError(
                        f"{url}: only {len(body):,} bytes in {self._limits.max_page_seconds:,.0f} s; giving up"
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

        return await self._retries.run(attempt)

    def hold_page(self, url: str, size: int) -> AbstractContextManager[None]:
        """Count a page while it is processed; arguments and errors as in ``PageMemory.hold_page``."""
        return self._memory.hold_page(url, size)

    async def stream(
        self, url: str, sink: Sink, *, endpoint: str, headers: Mapping[str, str], priority: Priority
    ) -> Response:
        """
        Write the decompressed body of a 200 to a sink, and return the response without its body.

        Raises:
            UnreachableError, RefusedError: as in ``get``.
            BaseException: any error of the sink.
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

        return await self._retries.run(attempt)

    async def download(
        self, url: str, sink: Sink, *, endpoint: str, priority: Priority, resume: bool = True
    ) -> Delivery:
        """
        Download a file into a sink; bytes that the sink already holds are not requested again.

        The sink checks the content. Cancellation leaves the received bytes in the sink.

        Args:
            resume: continue where the last attempt stopped. If false, each attempt starts over, as for a file without
                a digest to check.

        Raises:
            UnreachableError: all attempts failed. The count of attempts starts over after each megabyte received.
            RefusedError: upstream refuses, redirects to a forbidden host, or takes too long.
            BaseException: any error of the sink.
        """
        latest = time.monotonic() + self._limits.max_file_seconds

        async def attempt(failed: RetryLaterError | None) -> Delivery:
            begun = False
            if not resume:
                sink.restart()

            def receive(head: Head, chunk: bytes) -> None:
                nonlocal begun
                # Check before the last byte is written: a complete file must not be resumed past its end.
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
                sink.restart()  # the held bytes are not the beginning of the file
                raise RetryLaterError(f"{place}: answered 416 to a range request", reason="range")
            if not head.has_content:
                raise RefusedError(f"{place}: answered {head.status_text}")
            return Delivery(place, truncation_detectable=head.truncation_detectable)

        while True:
            before = sink.position
            try:
                return await self._retries.run(attempt)
            except UnreachableError:
                if sink.position - before < _MIN_PROGRESS_BYTES:
                    raise

    def _check_time(self, url: str, sink: Sink, *, latest: float) -> None:
        if time.monotonic() > latest:
            hours = self._limits.max_file_seconds / 3_600
            raise RefusedError(f"{url}: only {sink.position:,} bytes in {hours:,.0f} h; giving up")


def _is_continuation(head: Head, position: int) -> bool:
    # RFC 9110 15.3.7: the Content-Range of a 206 states where its bytes belong
    return position == 0 or (
        head.status == HTTPStatus.PARTIAL_CONTENT
        and head.headers.get("content-range", "").startswith(f"bytes {position}-")
    )
