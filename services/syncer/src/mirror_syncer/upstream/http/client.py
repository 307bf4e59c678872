"""
The HTTP client for all requests to upstream.

It keeps the connection budget, retries temporary failures, obeys Retry-After, and follows redirects to allowed hosts
only. Its callers see whole responses (pages) or chunks (files), and no type of pycurl.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self

from mirror_syncer.errors import RefusedError, UnreachableError
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream.http.curl import Curl
from mirror_syncer.upstream.http.exchange import Exchanges
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.options import ClientOptions
from mirror_syncer.upstream.http.page_memory import PageMemory
from mirror_syncer.upstream.http.part import Part, part_bound, part_range
from mirror_syncer.upstream.http.retries import Retries, RetryLaterError

_PROGRESS_BYTES = 2**20  # received by the attempts together: such a download is not given up


@dataclass(frozen=True, slots=True)
class Response:
    """A response: status, headers in lower case, decoded body, and its URL after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A downloaded file: its URL after redirects, and the head of its response."""

    url: str
    head: Head

    @property
    def truncation_detectable(self) -> bool:
        """Whether a truncation would have been noticed; on demand, since parsing the headers takes 3 µs."""
        return self.head.truncation_detectable


class Sink(Protocol):
    """Receives a download; its errors end the download."""

    @property
    def position(self) -> int:
        """How many bytes it holds; the next attempt requests the rest."""

    def restart(self) -> None:
        """Discard them: upstream sends the file from its beginning."""

    def write(self, chunk: bytes, /) -> None:
        """Receive the next bytes."""


class Client:
    """
    GETs with retries, inside a budget of connections; a context manager whose exit closes them.

    Args:
        on_request: called for each request with (endpoint, status or fault, seconds).
        on_retry: called for each retry with its reason.
    """

    def __init__(
        self,
        options: ClientOptions,
        *,
        on_request: Callable[[str, str, float], None] = lambda *_: None,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._limits = options.limits.for_bandwidth(options.bandwidth)
        self._options = replace(options, limits=self._limits)
        self._retries = Retries(self._limits, on_retry=on_retry)
        self._memory = PageMemory(self._limits.max_page_bytes)
        self._on_request = on_request
        self._curl: Curl | None = None
        self._opened: Exchanges | None = None

    async def __aenter__(self) -> Self:
        self._curl = Curl(self._options)
        self._opened = Exchanges(self._curl, self._options, on_request=self._on_request)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._curl is not None:
            self._curl.close()

    @property
    def _exchanges(self) -> Exchanges:
        if self._opened is None:
            raise RuntimeError("the client is not open")
        return self._opened

    async def get(self, url: str, *, endpoint: str, headers: Mapping[str, str], priority: Priority) -> Response:
        """
        Return the response to a GET.

        Raises:
            UnreachableError: all attempts failed.
            RefusedError: a redirect to a forbidden host, or a body above its own limit or the shared one.
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
        """Count the memory of a page; arguments and errors as in ``PageMemory.hold_page``."""
        return self._memory.hold_page(url, size)

    async def stream(
        self, url: str, sink: Sink, *, endpoint: str, headers: Mapping[str, str], priority: Priority
    ) -> Response:
        """
        Return the response to a GET without its body; the decoded body of a 200 goes to the sink.

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

        return await self._retries.run(attempt)

    async def download(
        self, url: str, sink: Sink, *, endpoint: str, priority: Priority, resume: bool = True
    ) -> Delivery:
        """
        Download a file into a sink; bytes that the sink already holds are not requested again.

        The sink checks the bytes. Cancelled, it keeps what it has.

        Args:
            resume: continue where an attempt stopped; False for a file without a hash, which starts over.

        Raises:
            UnreachableError: all attempts failed. The count of attempts restarts after each megabyte received.
            RefusedError: upstream refuses, redirects to a forbidden host, or takes too long.
            BaseException: whatever the sink raises.
        """
        latest = time.monotonic() + self._limits.max_file_seconds

        async def attempt(failed: RetryLaterError | None) -> Delivery:
            begun = False
            if not resume:
                sink.restart()

            def receive(head: Head, chunk: bytes) -> None:
                nonlocal begun
                # Before the last byte is stored: a complete file would be requested beyond its end.
                self._check_time(url, sink, latest=latest)
                if not begun and not _continues(head, sink.position):
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
                sink.restart()  # it does not hold the beginning of this file
                raise RetryLaterError(f"{place}: answered 416 to a range", reason="range")
            if not head.has_content:
                raise RefusedError(f"{place}: answered {head.status_text}")
            return Delivery(place, head)

        while True:
            before = sink.position
            try:
                return await self._retries.run(attempt)
            except UnreachableError:
                if sink.position - before < _PROGRESS_BYTES:
                    raise

    async def get_part(
        self, url: str, wanted: range | int, *, max_bytes: int, endpoint: str, priority: Priority
    ) -> Part:
        """
        Return a part of a file (RFC 9110 14), or the whole file if the server ignores ranges and it is small.

        Args:
            wanted: the bytes, or how many from the file's end.
            max_bytes: of a whole file; the download of a larger one is ended.

        Raises:
            UnreachableError: all attempts failed.
            RefusedError: upstream refuses, sends another part, or a whole file that is too large.
        """
        asked = f"bytes=-{wanted}" if isinstance(wanted, int) else f"bytes={wanted.start}-{wanted.stop - 1}"

        async def attempt(failed: RetryLaterError | None) -> Part:
            body = bytearray()
            bound: int | None = None

            def receive(head: Head, chunk: bytes) -> None:
                nonlocal bound
                if bound is None:
                    bound = part_bound(url, head, wanted, max_bytes=max_bytes)
                body.extend(chunk)
                if len(body) > bound:
                    raise RefusedError(f"{url}: sent more than the {bound:,} bytes that were requested")

            head, place = await self._exchanges.get(
                url,
                endpoint=endpoint,
                headers={"Range": asked},
                encoding=None,
                priority=priority,
                failed=failed,
                receive=receive,
            )
            if not head.has_content:
                raise RefusedError(f"{place}: answered {head.status_text} to a request for a range")
            etag = head.headers.get("etag")
            if head.status == HTTPStatus.OK:
                return Part(bytes(body), 0, len(body), etag)
            found, total = part_range(url, head, wanted)
            if len(body) != len(found):
                raise RefusedError(f"{url}: sent {len(body):,} bytes of a part of {len(found):,}")
            return Part(bytes(body), found.start, total, etag)

        return await self._retries.run(attempt)

    def _check_time(self, url: str, sink: Sink, *, latest: float) -> None:
        if time.monotonic() > latest:
            raise RefusedError(
                f"{url}: only {sink.position:,} bytes in {self._limits.max_file_seconds / 3_600:,.0f} h; giving up"
            )


def _continues(head: Head, position: int) -> bool:
    # RFC 9110 15.3.7: a 206 says with Content-Range where its bytes belong
    return position == 0 or (
        head.status == HTTPStatus.PARTIAL_CONTENT
        and head.headers.get("content-range", "").startswith(f"bytes {position}-")
    )
