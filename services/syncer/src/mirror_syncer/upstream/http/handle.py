"""
One easy handle of libcurl's: how a request is put to it, and how its answer comes back.

Its callbacks are called in the loop's thread, from within the multi handle's own calls (see ``curl``).
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
"""Takes the body's next bytes, decoded. What it raises ends the transfer and reaches the caller."""


class TransferError(Exception):
    """
    A transfer that libcurl gave up, or that was silent for too long.

    Attributes:
        timeout: for want of time.
        undecodable: libcurl cannot unpack the body.
        address: the IP address at the other end, where a connection came about.
    """

    def __init__(self, message: str, *, timeout: bool, undecodable: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.undecodable = undecodable
        self.address = ""


class Handle:
    """
    An easy handle, lent to one transfer after another; options that stay are set once in its life.

    Args:
        connect_seconds: how long a connection may take to come about, TLS included.
        authorities: a file in PEM; None: libcurl's own choice.
        bandwidth: what all handles together keep within.

    Attributes:
        easy: libcurl's own.
        raised: what ``receive`` raised, for which libcurl has but an error of its own.
        heard_at: when bytes came last, or will be taken again after a pause, by the monotonic clock.
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
        easy.setopt(pycurl.PIPEWAIT, 1)  # rather a stream of a connection that multiplexes than a connection more
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.NOPROXY, "")  # `proxies` judges alone: libcurl reads NO_PROXY otherwise
        easy.setopt(pycurl.BUFFERSIZE, _BUFFER)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, int(connect_seconds * 1000))
        if authorities is not None:
            easy.setopt(pycurl.CAINFO, str(authorities))
        # Into a buffer, which costs a quarter of a call for each line; they are parsed when somebody asks.
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
        """Get ready for the next transfer, and return what ends with it; arguments as in ``Curl.get``."""
        self._receive, self._head, self.raised = receive, None, None
        self._lines.seek(0)
        self._lines.truncate()
        self.easy.setopt(pycurl.URL, url.encode())  # of a str it takes ASCII alone
        wanted = (tuple(f"{name}: {value}" for name, value in headers.items()), encoding, proxy)
        if wanted != self._last_settings:
            # An empty list changes nothing, and the last request's headers, a login among them, would be sent again.
            self.easy.unsetopt(pycurl.HTTPHEADER)
            self.easy.setopt(pycurl.HTTPHEADER, list(wanted[0]))
            if encoding is None:
                self.easy.unsetopt(pycurl.ACCEPT_ENCODING)
            else:
                self.easy.setopt(pycurl.ACCEPT_ENCODING, encoding)
            self.easy.setopt(pycurl.PROXY, proxy.url if proxy else "")  # empty: none, whatever the environment says
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
            self.easy.setopt(pycurl.RESOLVE, [address_override.resolve])  # which libcurl takes once
            self.easy.setopt(pycurl.CONNECT_TO, [address_override.connect_to])
        elif self._address_override is not None:
            self.easy.unsetopt(pycurl.RESOLVE)
            self.easy.unsetopt(pycurl.CONNECT_TO)
        self._address_override = address_override

    def finish(self, error: TransferError | None = None) -> None:
        """Tell whoever awaits the transfer that it has ended; a second time, or after a cancellation, nobody."""
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    def end(self) -> None:
        """Let go of the transfer that it was lent to."""
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None
        self._receive, self._done, self.raised = _discard, None, None

    @property
    def address(self) -> str:
        """The IP address at the other end of the last transfer's connection; empty: there was none."""
        return str(self.easy.getinfo(pycurl.PRIMARY_IP) or "")

    def head(self) -> Head:
        """Return what the answer began with."""
        if self._head is None:
            self._head = Head(self._lines.getvalue())
        return self._head

    def _take(self, chunk: bytes) -> int | None:
        if wait := self._bandwidth.wait():
            # libcurl keeps these bytes, and reads no more: the server feels it by TCP's own means.
            self.last_active_at = time.monotonic() + wait
            self._resume_timer = asyncio.get_running_loop().call_later(wait, self._resume)
            return int(pycurl.WRITEFUNC_PAUSE)
        self._bandwidth.took(len(chunk))
        self.last_active_at = time.monotonic()
        try:
            self._receive(self.head(), chunk)
        except BaseException as error:  # noqa: BLE001 - raised by Curl.get; libcurl would print and forget it
            self.raised = error
            return -1
        return None

    def _resume(self) -> None:
        self._resume_timer = None
        try:
            self.easy.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            # The receiver said no to what was kept. Where nothing more comes, libcurl would not tell of it.
            self.finish(TransferError(str(error), timeout=False))


def _discard(_: Head, __: bytes) -> None:
    """Take what comes too late."""
