"""One request and its answer: inside the budget, with the logins that are due, along redirects, and not too slowly."""

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

# Too slow, too early, too many, or broken just now. 501 and 505 would say the same again.
_RETRIED_STATUSES = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_SERVER_FAULTS = _RETRIED_STATUSES - {408, 425, 429}
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_RATE_GRACE_SECONDS = 60
_GZIP = ("gzip", "x-gzip")
_MAX_HOSTS = 100
_PORTS = {"http": 80, "https": 443}
_MAX_DISCARDED_BYTES = 2**20  # of a body that nobody reads, such as an error's


class Exchanges:
    """
    Asks, an attempt a call.

    Args:
        slowest: bytes a second, over the first minute and ever after.
        on_request: told of each request, redirects included, as (endpoint, status or fault, seconds).
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
        """Hosts that sent what libcurl cannot unpack; whether we can, a further attempt shows."""

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
        Return the first answer that is no redirect, and its URL; the body of a 200 or a 206 goes to ``receive``.

        Cancelled, it stops at once, and what it had of the budget is given back.

        Args:
            failed: why the attempt before failed. This one goes by another connection than a machine's that failed.

        Raises:
            RetryLaterError: no answer, one that broke off or dripped, or one that says so.
            RefusedError: a redirect to where it must not go, or one too many.
            BaseException: whatever ``receive`` raised.
        """
        if not self._budget.take(priority):
            await self._budget.wait(priority)
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
        """GET a URL, once."""
        proxy = self._routes.proxy(url)
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
                headers = {**headers, **self._credentials.headers(url)}  # of each hop's own URL
            head = await self._curl.get(
                url,
                headers=headers,
                encoding=encoding,
                proxy=proxy,
                address_override=address_override,
                fresh=fresh,
                receive=body.take,
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
        self._addresses.answered(*origin, head.address)
        return head

    async def _retry_after_failure(
        self, url: str, error: TransferError, *, by: AddressOverride | None, proxied: bool
    ) -> RetryLaterError:
        """Return what a transfer that failed means for the next attempt."""
        origin = _origin(url)
        reason = "timeout" if error.timeout else "connection"
        if error.undecodable and origin not in self._decoded_here and len(self._decoded_here) < _MAX_HOSTS:
            self._decoded_here.add(origin)
            return RetryLaterError(f"{url}: {error}", reason=reason, other_address=True)
        after = NextAttempt.ANY_CONNECTION if proxied else await self._addresses.failed(*origin, error.address, by=by)
        what = "no answer in time" if error.timeout else error
        return RetryLaterError(
            f"{url}: {what}",
            reason=reason,
            other_address=after is NextAttempt.OTHER_ADDRESS,
            fresh=after is NextAttempt.ANY_CONNECTION,
        )

    async def _retry_after_status(
        self, url: str, head: Head, *, by: AddressOverride | None, proxied: bool
    ) -> RetryLaterError:
        """Return what an answer that is no answer yet means for the next attempt."""
        # With a Retry-After it is no machine that is broken, but a service that wants its rest.
        wait = parse_retry_after(head.headers.get("retry-after"))
        broken = wait is None and head.status in _SERVER_FAULTS
        after = NextAttempt.ANY_CONNECTION
        if broken and not proxied:
            after = await self._addresses.failed(*_origin(url), head.address, by=by)
        return RetryLaterError(
            f"{url}: answered {head.status_text}",
            reason=str(head.status),
            wait=wait,
            other_address=after is NextAttempt.OTHER_ADDRESS,
            fresh=broken and after is NextAttempt.ANY_CONNECTION,
        )


class _Body:
    """
    What an answer brings. Patience is measured between decoded bytes: who drips anything else drips in vain.

    Args:
        receive: takes the body of a 200 or a 206.
        members: unpacks what comes packed as gzip; None: libcurl has done so.
        slowest: bytes a second, over the first minute and ever after.
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

    def take(self, head: Head, chunk: bytes) -> None:
        """Take the next bytes."""
        if not head.has_content:
            self._discard(head, len(chunk))
        elif self._members is not None and head.headers.get("content-encoding", "").lower() in _GZIP:
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
            told = f"{self._url}: {self._received:,} bytes in {passed:.0f} s: too slow"
            raise RetryLaterError(told, reason="slow", fresh=True)

    def check_end(self) -> None:
        """Raise ``RetryLaterError`` where the answer ended before what is packed in it."""
        if self._members is not None and not self._members.complete:
            raise RetryLaterError(
                f"{self._url}: what it packed as gzip ends too early", reason="connection", fresh=True
            )

    def _discard(self, head: Head, count: int) -> None:
        self._received += count
        if self._received > _MAX_DISCARDED_BYTES:
            told = f"{self._url}: answered {head.status_text} with an endless body"
            raise RetryLaterError(told, reason=str(head.status), fresh=True)
        if self._proxied and head.status in _SERVER_FAULTS and "retry-after" not in head.headers:
            # That ends the connection, which nobody shall use again: behind a proxy there is no other address.
            raise RetryLaterError(f"{self._url}: answered {head.status_text}", reason=str(head.status), fresh=True)


def _origin(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
