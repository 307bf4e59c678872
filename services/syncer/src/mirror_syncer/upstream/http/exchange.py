"""One attempt at a request: within the connection budget, with logins, redirects, and a minimum transfer rate."""

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from mirror_syncer.errors import RefusedError
from mirror_syncer.model.priority import Priority
from mirror_syncer.upstream.http.addresses import Addresses, AddressOverride, NextAttempt
from mirror_syncer.upstream.http.budget import Budget
from mirror_syncer.upstream.http.credentials import Credentials
from mirror_syncer.upstream.http.curl import Curl
from mirror_syncer.upstream.http.handle import Receive, TransferError
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.members import GzipError, GzipMembers
from mirror_syncer.upstream.http.retries import RetryLaterError, parse_retry_after
from mirror_syncer.upstream.http.routes import Routes, resolve_redirect

# Timeout, too early, too many requests, or a server error. 501 and 505 are permanent.
_RETRIED_STATUSES = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_SERVER_FAULTS = _RETRIED_STATUSES - {408, 425, 429}
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_RATE_GRACE_SECONDS = 60
_GZIP = ("gzip", "x-gzip")
_OTHER_CODINGS = ("br", "zstd", "compress", "x-compress", "deflate", "dcb", "dcz")  # other values name no coding
_MAX_HOSTS = 100
_PORTS = {"http": 80, "https": 443}
_MAX_DISCARDED_BYTES = 2**20  # of a body that nobody reads, such as that of an error


class Exchanges:
    """
    A sender of requests: one attempt per call.

    Args:
        min_bytes_per_second: the lowest accepted average rate, measured after the first minute.
        on_request: called after each request, redirects included, with (endpoint, status or fault, seconds).
    """

    def __init__(
        self,
        curl: Curl,
        *,
        budget: Budget,
        routes: Routes,
        credentials: Credentials | None,
        min_bytes_per_second: int,
        on_request: Callable[[str, str, float], None],
    ) -> None:
        self._curl = curl
        self._budget = budget
        self._routes = routes
        self._credentials = credentials
        self._min_bytes_per_second = min_bytes_per_second
        self._on_request = on_request
        self._addresses = Addresses()
        self._decoded_here: set[tuple[str, int]] = set()
        """Hosts whose gzip libcurl could not decode; the next attempt decodes it here."""

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
        Return the first response that is not a redirect, and its URL; ``receive`` gets the body of a 200 or a 206.

        Cancellation stops the request at once and releases its connection.

        Args:
            failed: the error of the previous attempt. This one avoids the machine that failed.

        Raises:
            RetryLaterError: no response, one that broke off or was too slow, or a status that asks for a retry.
            RefusedError: a redirect to a forbidden host, or too many redirects.
            BaseException: any error of ``receive``.
        """
        if not self._budget.try_acquire(priority):
            await self._budget.acquire(priority)
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                head = await self._send(
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
                if head.status not in _REDIRECT_STATUSES or "location" not in head.headers:
                    break
                url = resolve_redirect(url, head.headers["location"])
            else:
                raise RefusedError(f"{url}: more than {_MAX_REDIRECTS} redirects")
            return head, url
        finally:
            self._budget.release()

    async def _send(
        self,
        url: str,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        encoding: str | None,
        fresh: bool,
        receive: Receive,
    ) -> Head:
        """Send one GET, without following redirects."""
        proxy = self._routes.check_and_find_proxy(url)
        origin = _origin(url)
        address_override = None if proxy else self._addresses.address_override(*origin)
        members = GzipMembers() if encoding and origin in self._decoded_here else None
        if members is not None:
            headers, encoding = {**headers, "Accept-Encoding": "gzip"}, None
        body = _Body(
            url, receive, members=members, min_bytes_per_second=self._min_bytes_per_second, proxied=proxy is not None
        )
        began, outcome = time.monotonic(), "abandoned"
        try:
            if self._credentials is not None:
                headers = {**headers, **self._credentials.headers(url)}  # those of each hop's own URL
            head = await self._curl.get(
                url,
                headers=headers,
                encoding=encoding,
                proxy=proxy,
                address_override=address_override,
                fresh=fresh,
                receive=body.write,
            )
            outcome = str(head.status)
        except TransferError as error:
            outcome = "timeout" if error.timeout else "connection"
            raise await self._retry_after_failure(url, error, by=address_override, proxied=proxy is not None) from error
        finally:
            self._on_request(endpoint, outcome, time.monotonic() - began)
        if head.status in _RETRIED_STATUSES:
            raise await self._retry_after_status(url, head, by=address_override, proxied=proxy is not None)
        body.check_end()
        self._addresses.record_success(*origin, head.address)
        return head

    async def _retry_after_failure(
        self, url: str, error: TransferError, *, by: AddressOverride | None, proxied: bool
    ) -> RetryLaterError:
        """Return the error that tells the next attempt how to proceed after a failed transfer."""
        origin = _origin(url)
        reason = "timeout" if error.timeout else "connection"
        if error.undecodable and origin not in self._decoded_here and len(self._decoded_here) < _MAX_HOSTS:
            self._decoded_here.add(origin)
            return RetryLaterError(f"{url}: {error}", reason=reason, other_address=True)
        after = (
            NextAttempt.ANY_CONNECTION
            if proxied
            else await self._addresses.record_failure(*origin, error.address, by=by)
        )
        what = "timed out" if error.timeout else error
        return RetryLaterError(
            f"{url}: {what}",
            reason=reason,
            other_address=after is NextAttempt.OTHER_ADDRESS,
            fresh=after is NextAttempt.ANY_CONNECTION,
        )

    async def _retry_after_status(
        self, url: str, head: Head, *, by: AddressOverride | None, proxied: bool
    ) -> RetryLaterError:
        """Return the error that tells the next attempt how to proceed after a retryable status."""
        # A Retry-After means that the service is overloaded, not that one machine is broken.
        wait = parse_retry_after(head.headers.get("retry-after"))
        broken = wait is None and head.status in _SERVER_FAULTS
        after = NextAttempt.ANY_CONNECTION
        if broken and not proxied:
            after = await self._addresses.record_failure(*_origin(url), head.address, by=by)
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
    The body of a response. The rate counts decoded bytes only, so that padding does not keep a connection open.

    Args:
        receive: gets the body of a 200 or a 206.
        members: decompresses gzip; None if libcurl already does.
        min_bytes_per_second: the lowest accepted average rate, measured after the first minute.
    """

    def __init__(
        self, url: str, receive: Receive, *, members: GzipMembers | None, min_bytes_per_second: int, proxied: bool
    ) -> None:
        self._url = url
        self._receive = receive
        self._members = members
        self._min_bytes_per_second = min_bytes_per_second
        self._proxied = proxied
        self._began = time.monotonic()
        self._received = 0

    def write(self, head: Head, chunk: bytes) -> None:
        """Pass on the next bytes."""
        if not head.has_content:
            self._discard(head, len(chunk))
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
        if passed > _RATE_GRACE_SECONDS and self._received < passed * self._min_bytes_per_second:
            message = f"{self._url}: too slow, {self._received:,} bytes in {passed:.0f} s"
            raise RetryLaterError(message, reason="slow", fresh=True)

    def _coding(self, head: Head) -> str:
        """Return the content coding of a body that libcurl cannot decode; raise ``RefusedError`` for any but gzip."""
        coding = head.headers.get("content-encoding", "").lower()
        if coding in _OTHER_CODINGS:
            raise RefusedError(f"{self._url}: answered with Content-Encoding {coding}, but only gzip was accepted")
        return coding

    def check_end(self) -> None:
        """Raise ``RetryLaterError`` if the gzip data is truncated."""
        if self._members is not None and not self._members.complete:
            raise RetryLaterError(f"{self._url}: the gzip data is truncated", reason="connection", fresh=True)

    def _discard(self, head: Head, count: int) -> None:
        self._received += count
        if self._received > _MAX_DISCARDED_BYTES:
            message = f"{self._url}: answered {head.status_text} with an endless body"
            raise RetryLaterError(message, reason=str(head.status), fresh=True)
        if self._proxied and head.status in _SERVER_FAULTS and "retry-after" not in head.headers:
            # The error closes the connection, so that no request reuses it: behind a proxy there is no other address.
            raise RetryLaterError(f"{self._url}: answered {head.status_text}", reason=str(head.status), fresh=True)


def _origin(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
