"""
One easy handle of libcurl: it takes a request and receives the response.

libcurl calls its callbacks in the loop's thread, from within calls of the multi handle (see ``curl``).
"""

import asyncio
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pycurl

from mirror_syncer.upstream.http.addresses import AddressOverride
from mirror_syncer.upstream.http.bandwidth import Bandwidth
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.proxies import Proxy

_BUFFER = 512 * 1024  # libcurl's largest read; its own 16 KiB costs large files a third of their speed

Receive = Callable[[Head, bytes], None]
"""A callback for the next decoded bytes of the body. Its errors end the transfer and reach the caller."""


class TransferError(Exception):
    """
    A transfer that failed in libcurl, or stalled for too long.

    Attributes:
        timeout: it timed out.
        undecodable: libcurl could not decode the body.
        address: the IP address at the other end; empty if there was no connection.
    """

    def __init__(self, message: str, *, timeout: bool, undecodable: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.undecodable = undecodable
        self.address = ""


class Handle:
    """
    An easy handle, reused for one transfer after another; constant options are set once.

    Args:
        connect_seconds: timeout for opening a connection, TLS included.
        authorities: a PEM file; None for libcurl's own choice.
        bandwidth: the limit that all handles share.

    Attributes:
        easy: the handle of pycurl.
        raised: the error of ``receive``, which libcurl replaces by one of its own.
        last_active_at: monotonic time of the last bytes, or of the end of a pause.
    """

    def __init__(
        self, *, user_agent: str, connect_seconds: float, authorities: Path | None, bandwidth: Bandwidth
    ) -> None:
        self.easy = easy = pycurl.Curl()
        self._bandwidth = bandwidth
        self._resume_timer: asyncio.TimerHandle | None = None
        self._lines = io.BytesIO()
        self._last_settings: tuple[tuple[str, ...], str | None, Proxy | None] | None = None
        self._address_override: AddressOverride | None = None
        self._fresh = False
        self._receive: Receive = _discard
        self._head: Head | None = None
        self.raised: BaseException | None = None
        self.last_active_at = 0.0
        self._done: asyncio.Future[None] | None = None
        easy.setopt(pycurl.PATH_AS_IS, 1)
        easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        easy.setopt(pycurl.USERAGENT, user_agent)
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        easy.setopt(pycurl.PIPEWAIT, 1)  # prefer a stream of an open connection to a new connection
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.NOPROXY, "")  # `proxies` alone decides: libcurl parses NO_PROXY differently
        easy.setopt(pycurl.BUFFERSIZE, _BUFFER)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, int(connect_seconds * 1000))
        if authorities is not None:
            easy.setopt(pycurl.CAINFO, str(authorities))
        # A buffer costs a quarter of one callback per line; the lines are parsed on demand.
        easy.setopt(pycurl.WRITEHEADER, self._lines)
        easy.setopt(pycurl.WRITEFUNCTION, self._take)

    def begin(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        encoding: str | None,
        proxy: Proxy | None,
        address_override: AddressOverride | None,
        fresh: bool,
        receive: Receive,
    ) -> asyncio.Future[None]:
        """Prepare the next transfer, and return a future of its end; arguments as in ``Curl.get``."""
        self._receive, self._head, self.raised = receive, None, None
        self._lines.seek(0)
        self._lines.truncate()
        self.easy.setopt(pycurl.URL, url.encode())  # as str it accepts only ASCII
        wanted = (tuple(f"{name}: {value}" for name, value in headers.items()), encoding, proxy)
        if wanted != self._last_settings:
            # An empty list changes nothing: libcurl would send the last request's headers again, its login included.
            self.easy.unsetopt(pycurl.HTTPHEADER)
            self.easy.setopt(pycurl.HTTPHEADER, list(wanted[0]))
            if encoding is None:
                self.easy.unsetopt(pycurl.ACCEPT_ENCODING)
            else:
                self.easy.setopt(pycurl.ACCEPT_ENCODING, encoding)
            self.easy.setopt(pycurl.PROXY, proxy.url if proxy else "")  # empty: none, even if the environment names one
            if proxy and proxy.login:
                user, password = proxy.login
                self.easy.setopt(pycurl.PROXYUSERNAME, user.encode())
                self.easy.setopt(pycurl.PROXYPASSWORD, password.encode())
            else:
                self.easy.unsetopt(pycurl.PROXYUSERNAME)
                self.easy.unsetopt(pycurl.PROXYPASSWORD)
            self._last_settings = wanted
        self._set_connection(address_override, fresh=fresh)
        self._done = asyncio.get_running_loop().create_future()
        return self._done

    def _set_connection(self, address_override: AddressOverride | None, *, fresh: bool) -> None:
        if fresh is not self._fresh:
            self.easy.setopt(pycurl.FRESH_CONNECT, int(fresh))
            self._fresh = fresh
        if address_override is not None:
            self.easy.setopt(pycurl.RESOLVE, [address_override.resolve])  # libcurl applies it once
            self.easy.setopt(pycurl.CONNECT_TO, [address_override.connect_to])
        elif self._address_override is not None:
            self.easy.unsetopt(pycurl.RESOLVE)
            self.easy.unsetopt(pycurl.CONNECT_TO)
        self._address_override = address_override

    def finish(self, error: TransferError | None = None) -> None:
        """Complete the future of the transfer; do nothing if it is already complete or cancelled."""
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    def reset(self) -> None:
        """Detach the handle from its finished transfer."""
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None
        self._receive, self._done, self.raised = _discard, None, None

    @property
    def address(self) -> str:
        """The IP address at the other end of the last transfer's connection; empty if there was none."""
        return str(self.easy.getinfo(pycurl.PRIMARY_IP) or "")

    def head(self) -> Head:
        """Return the status and headers of the response."""
        if self._head is None:
            self._head = Head(self._lines.getvalue())
        return self._head

    def _take(self, chunk: bytes) -> int | None:
        if wait := self._bandwidth.wait_seconds():
            # libcurl keeps these bytes and stops reading; TCP flow control slows the server down.
            self.last_active_at = time.monotonic() + wait
            self._resume_timer = asyncio.get_running_loop().call_later(wait, self._resume)
            return int(pycurl.WRITEFUNC_PAUSE)
        self._bandwidth.record(len(chunk))
        self.last_active_at = time.monotonic()
        try:
            self._receive(self.head(), chunk)
        except BaseException as error:  # noqa: BLE001 - Curl.get raises it; libcurl would print and drop it
            self.raised = error
            return -1
        return None

    def _resume(self) -> None:
        self._resume_timer = None
        try:
            self.easy.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            # The receiver refused the kept bytes. If no more arrive, libcurl does not report that.
            self.finish(TransferError(str(error), timeout=False))


def _discard(_: Head, __: bytes) -> None:
    """Discard bytes that arrive after the end of a transfer."""
