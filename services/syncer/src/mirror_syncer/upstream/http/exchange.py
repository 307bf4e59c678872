"""One attempt at a request: within the connection budget, with logins, along redirects, and not too slow."""

import time
from collections.abc import Callable, Mapping

from mirror_syncer.errors import RefusedError
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream.http.addresses import Addresses, AddressOverride, NextAttempt
from mirror_syncer.upstream.http.budget import Budget
from mirror_syncer.upstream.http.curl import Curl
from mirror_syncer.upstream.http.gzip_members import GzipError, GzipMembers
from mirror_syncer.upstream.http.handle import Receive, TransferError
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.options import ClientOptions
from mirror_syncer.upstream.http.retries import RetryLaterError, parse_retry_after
from mirror_syncer.upstream.http.routes import Route, Routes, resolve_redirect

# Timeouts, rate limits and temporary errors; 501 and 505 are permanent.
_RETRIED_STATUSES = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_BROKEN_STATUSES = _RETRIED_STATUSES - {408, 425, 429}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_PATIENCE_SECONDS = 60
_GZIP = ("gzip", "x-gzip")
_OTHER_CODINGS = ("br", "zstd", "compress", "x-compress", "deflate", "dcb", "dcz")  # the rest are not codings
_MAX_ORIGINS = 100
_MAX_IGNORED_BYTES = 2**20  # of a body that is not read, such as an error page


class Exchanges:
    """
    Makes one attempt per call.

    Args:
        on_request: called for each request, including redirects, with (endpoint, status or fault, seconds).
    """

    def __init__(self, curl: Curl, options: ClientOptions, *, on_request: Callable[[str, str, float], None]) -> None:
        self._curl = curl
        self._budget = Budget(options.connections)
        self._routes = Routes(options.hosts, credentials=options.credentials)
        self._credentials = options.credentials
        self._slowest = options.limits.min_bytes_per_second
        self._on_request = on_request
        self._addresses = Addresses()
        self._decoded_here: set[tuple[str, int]] = set()
        """Origins that sent a body which libcurl cannot decode; ``GzipMembers`` decodes their next one."""

    async def get(
        self,
        url: str,
        *,
        endpoint: str,
        headers: Mapping[str, str],
        encoding: str | None,
        priority: Priority,
        receive: Receive,
        failed: RetryLaterError | None = None,
    ) -> tuple[Head, str]:
        """
        Return the first response that is not a redirect, and its URL; the body of a 200 or a 206 goes to ``receive``.

        Cancelled, it stops at once and returns its connection to the budget.

        Args:
            failed: why the previous attempt failed; this one avoids the connection to a machine that failed.

        Raises:
            RetryLaterError: there was no response, it was interrupted or too slow, or its status asks for a retry.
            RefusedError: a redirect leads to a forbidden host, or there are too many.
            BaseException: whatever ``receive`` raised.
        """
        if not self._budget.try_acquire(priority):
            await self._budget.acquire(priority)
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                head = await self._one(
                    url,
                    endpoint,
                    headers=headers,
                    encoding=encoding,
                    fresh=failed is not None and failed.fresh,
                    receive=receive,
                )
                if head.multiplexed:
                    self._budget.enable_multiplexing()
                else:
                    self._budget.disable_multiplexing()
                if head.has_content:
                    break
                if head.status not in _REDIRECTS or "location" not in head.headers:
                    break
                url = resolve_redirect(url, head.headers["location"])
            else:
                raise RefusedError(f"{url}: more than {_MAX_REDIRECTS} redirects")
            return head, url
        finally:
            self._budget.release()

    async def _one(
        self,
        url: str,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        encoding: str | None,
        fresh: bool,
        receive: Receive,
    ) -> Head:
        """GET a URL, once."""
        route = self._routes.check_and_find(url)
        host, port, proxy = route
        steering = None if proxy else self._addresses.address_override(host, port)
        members = GzipMembers() if encoding and (host, port) in self._decoded_here else None
        if members is not None:
            headers, encoding = {**headers, "Accept-Encoding": "gzip"}, None
        body = _Body(url, receive, members=members, slowest=self._slowest, proxied=proxy is not None)
        started, outcome = time.monotonic(), "abandoned"
        try:
            if self._credentials is not None:
                headers = {**headers, **self._credentials.headers(url)}  # of each hop's own URL
            head = await self._curl.get(
                url, headers=headers, encoding=encoding, proxy=proxy, steering=steering, fresh=fresh, receive=body.take
            )
            outcome = str(head.status)
        except TransferError as error:
            outcome = "timeout" if error.timeout else "connection"
            raise await self._after_failure(url, error, route=route, by=steering) from error
        finally:
            self._on_request(endpoint, outcome, time.monotonic() - started)
        if head.status in _RETRIED_STATUSES:
            raise await self._after_status(url, head, route=route, by=steering)
        body.check_end()
        self._addresses.record_success(host, port, head.address)
        return head

    async def _after_failure(
        self, url: str, error: TransferError, *, route: Route, by: AddressOverride | None
    ) -> RetryLaterError:
        """Return how to retry after a transfer that failed."""
        origin = route.host, route.port
        reason = "timeout" if error.timeout else "connection"
        if error.undecodable and origin not in self._decoded_here and len(self._decoded_here) < _MAX_ORIGINS:
            self._decoded_here.add(origin)
            return RetryLaterError(f"{url}: {error}", reason=reason, other_address=True)
        after = (
            NextAttempt.ANY_CONNECTION
            if route.proxy
            else await self._addresses.record_failure(*origin, error.address, by=by)
        )
        what = "timed out" if error.timeout else error
        return RetryLaterError(
            f"{url}: {what}",
            reason=reason,
            other_address=after is NextAttempt.OTHER_ADDRESS,
            fresh=after is NextAttempt.ANY_CONNECTION,
        )

    async def _after_status(self, url: str, head: Head, *, route: Route, by: AddressOverride | None) -> RetryLaterError:
        """Return how to retry after a status that asks for it."""
        # With a Retry-After the service limits its load, and no machine is broken.
        wait = parse_retry_after(head.headers.get("retry-after"))
        broken = wait is None and head.status in _BROKEN_STATUSES
        after = NextAttempt.ANY_CONNECTION
        if broken and not route.proxy:
            after = await self._addresses.record_failure(route.host, route.port, head.address, by=by)
        rest = "" if wait is None else f", and asks to wait {wait:,.0f} s"
        return RetryLaterError(
            f"{url}: answered {head.status_text}{rest}",
            reason=str(head.status),
            wait=wait,
            other_address=after is NextAttempt.OTHER_ADDRESS,
            fresh=broken and after is NextAttempt.ANY_CONNECTION,
        )


class _Body:
    """
    The body of a response. Its speed is measured in decoded bytes, so that padding does not count.

    Args:
        receive: receives the body of a 200 or a 206.
        members: decodes a gzip body; None: libcurl decodes it.
        slowest: the lowest accepted rate in bytes per second, over the first minute and the whole transfer.
    """

    def __init__(self, url: str, receive: Receive, *, members: GzipMembers | None, slowest: int, proxied: bool) -> None:
        self._url = url
        self._receive = receive
        self._members = members
        self._slowest = slowest
        self._proxied = proxied
        self._began = time.monotonic()
        self._received = 0

    def take(self, head: Head, chunk: bytes) -> None:
        """Process the next bytes."""
        if not head.has_content:
            self._ignore(head, len(chunk))
        elif self._members is not None and self._coding(head) in _GZIP:
            try:
                for piece in self._members.decompress(chunk):
                    self._received += len(piece)
                    self._receive(head, piece)
            except GzipError as error:
                raise RetryLaterError(f"{self._url}: {error}", reason="connection", fresh=True) from error
        else:
            self._received += len(chunk)
            self._receive(head, chunk)
        passed = time.monotonic() - self._began
        if passed > _PATIENCE_SECONDS and self._received < passed * self._slowest:
            reason = f"{self._url}: {self._received:,} bytes in {passed:.0f} s: too slow"
            raise RetryLaterError(reason, reason="slow", fresh=True)

    def _coding(self, head: Head) -> str:
        """Return the coding of a body that libcurl cannot decode; raise ``RefusedError`` unless it may be gzip."""
        coding = head.headers.get("content-encoding", "").lower()
        if coding in _OTHER_CODINGS:
            raise RefusedError(f"{self._url}: answered with Content-Encoding {coding}, but only gzip was accepted")
        return coding

    def check_end(self) -> None:
        """Raise ``RetryLaterError`` if the response ended before its gzip data."""
        if self._members is not None and not self._members.complete:
            raise RetryLaterError(f"{self._url}: its gzip data ends too early", reason="connection", fresh=True)

    def _ignore(self, head: Head, count: int) -> None:
        self._received += count
        if self._received > _MAX_IGNORED_BYTES:
            reason = f"{self._url}: answered {head.status_text} with an endless body"
            raise RetryLaterError(reason, reason=str(head.status), fresh=True)
        if self._proxied and head.status in _BROKEN_STATUSES and "retry-after" not in head.headers:
            # This closes the connection, so that it is not used again: behind a proxy there is no other address.
            raise RetryLaterError(f"{self._url}: answered {head.status_text}", reason=str(head.status), fresh=True)
