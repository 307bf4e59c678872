"""One request and its answer: inside the budget, with the logins that are due, along redirects, and not too slowly."""

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from mirror_syncer.errors import Refused
from mirror_syncer.priority import Priority
from mirror_syncer.upstream.addresses import Addresses
from mirror_syncer.upstream.budget import Budget
from mirror_syncer.upstream.credentials import Credentials
from mirror_syncer.upstream.curl import Curl
from mirror_syncer.upstream.handle import Receive, TransferError
from mirror_syncer.upstream.head import Head
from mirror_syncer.upstream.retries import TryLater, parse_retry_after
from mirror_syncer.upstream.routes import Routes, redirected

# Too slow, too early, too many, or broken just now. 501 and 505 would say the same again.
_LATER = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_BROKEN = _LATER - {408, 425, 429}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_PATIENCE_SECONDS = 60
_PORTS = {"http": 80, "https": 443}
_UNWANTED_MOST = 2**20  # of a body that nobody reads, such as an error's


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
        slowest: int,
        on_request: Callable[[str, str, float], None],
    ) -> None:
        self._curl = curl
        self._budget = budget
        self._routes = routes
        self._credentials = credentials
        self._slowest = slowest
        self._on_request = on_request
        self._addresses = Addresses()

    async def get(
        self,
        url: str,
        *,
        endpoint: str,
        headers: Mapping[str, str],
        encoding: str | None,
        priority: Priority,
        receive: Receive,
        failed: TryLater | None = None,
    ) -> tuple[Head, str]:
        """
        Return the first answer that is no redirect, and its URL; the body of a 200 or a 206 goes to ``receive``.

        Cancelled, it stops at once, and what it had of the budget is given back.

        Args:
            failed: why the attempt before failed. This one goes by another connection than a machine's that failed.

        Raises:
            TryLater: no answer, one that broke off or dripped, or one that says so.
            Refused: a redirect to where it must not go, or one too many.
            BaseException: whatever ``receive`` raised.
        """
        if not self._budget.take(priority):
            await self._budget.wait(priority)
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                head = await self._one(
                    url,
                    endpoint,
                    headers=headers,
                    encoding=encoding,
                    fresh=failed is not None and failed.fresh,
                    receive=receive,
                )
                if head.multiplexed:
                    self._budget.widen()
                else:
                    self._budget.narrow()
                if head.has_content:
                    break
                if head.status not in _REDIRECTS or "location" not in head.headers:
                    break
                url = redirected(url, head.headers["location"])
            else:
                raise Refused(f"{url}: more than {_MOST_REDIRECTS} redirects")
            return head, url
        finally:
            self._budget.give_back()

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
        """GET a URL. Patience is measured between decoded bytes: who drips anything else drips in vain."""
        proxy = self._routes.proxy(url)
        origin = _origin(url)
        steering = None if proxy else self._addresses.steering(*origin)
        began, received, outcome = time.monotonic(), 0, "abandoned"

        def take(head: Head, chunk: bytes) -> None:
            nonlocal received
            received += len(chunk)
            if head.has_content:
                receive(head, chunk)
            elif received > _UNWANTED_MOST:
                raise TryLater(
                    f"{url}: answered {head.words} with an endless body", reason=str(head.status), fresh=True
                )
            elif proxy and head.status in _BROKEN:
                # The end of the connection, which nobody shall use again: behind a proxy there is no other address.
                raise TryLater(f"{url}: answered {head.words}", reason=str(head.status), fresh=True)
            passed = time.monotonic() - began
            if passed > _PATIENCE_SECONDS and received < passed * self._slowest:
                raise TryLater(f"{url}: {received:,} bytes in {passed:.0f} s: too slow", reason="slow", fresh=True)

        try:
            if self._credentials is not None:
                headers = {**headers, **self._credentials.headers(url)}  # of each hop's own URL
            head = await self._curl.get(
                url, headers=headers, encoding=encoding, proxy=proxy, steering=steering, fresh=fresh, receive=take
            )
            outcome = str(head.status)
        except TransferError as error:
            outcome = "timeout" if error.timeout else "connection"
            elsewhere = not proxy and await self._addresses.failed(*origin, error.address, by=steering)
            raise TryLater(
                f"{url}: {'no answer in time' if error.timeout else error}",
                reason=outcome,
                elsewhere=elsewhere,
                fresh=not elsewhere,
            ) from error
        finally:
            self._on_request(endpoint, outcome, time.monotonic() - began)
        if head.status in _LATER:
            # With a Retry-After it is no machine that is broken, but a service that wants its rest.
            wait = parse_retry_after(head.headers.get("retry-after"))
            broken = wait is None and head.status in _BROKEN
            elsewhere = broken and not proxy and await self._addresses.failed(*origin, head.address, by=steering)
            raise TryLater(
                f"{url}: answered {head.words}",
                reason=str(head.status),
                wait=wait,
                elsewhere=elsewhere,
                fresh=broken and not elsewhere,
            )
        self._addresses.answered(*origin, head.address)
        return head


def _origin(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
