"""
An easy handle of libcurl: how a request is set up, and how its response arrives.

Its callbacks run in the event loop's thread, inside the calls of the multi handle (see ``curl``).
"""

import asyncio
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pycurl

from mirror_syncer.upstream.http.addresses import Steering
from mirror_syncer.upstream.http.bandwidth import Bandwidth
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.options import ClientOptions
from mirror_syncer.upstream.http.proxies import Proxy

_BUFFER = 512 * 1024  # libcurl's largest read; its own 16 KiB costs large files a third of their speed

Receive = Callable[[Head, bytes], None]
"""Receives the next decoded bytes of the body. An exception ends the transfer and reaches the caller."""


class TransferError(Exception):
    """
    A transfer that libcurl ended with an error, or that was silent for too long.

    Attributes:
        timeout: it took too long.
        undecodable: libcurl cannot decode the body.
        address: the IP address of the other end, if there was a connection.
    """

    def __init__(self, message: str, *, timeout: bool, undecodable: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.undecodable = undecodable
        self.address = ""


class Handle:
    """
    An easy handle, reused for one transfer after another; fixed options are set once.

    Args:
        authorities: a PEM file with all trusted certificate authorities; None: libcurl's own choice.
        bandwidth: the rate limit of all handles together.

    Attributes:
        easy: the handle of pycurl.
        raised: the exception of ``receive``, which libcurl replaces by an error of its own.
        last_read_at: when bytes were last read, or will be read again after a pause, by the monotonic clock.
    """

    def __init__(self, options: ClientOptions, *, authorities: Path | None, bandwidth: Bandwidth) -> None:
        self.easy = easy = pycurl.Curl()
        self._bandwidth = bandwidth
        self._resume_timer: asyncio.TimerHandle | None = None
        self._lines = io.BytesIO()
        self._applied: tuple[tuple[str, ...], str | None, Proxy | None] | None = None
        self._steering: Steering | None = None
        self._fresh = False
        self._receive: Receive = _ignore
        self._head: Head | None = None
        self.raised: BaseException | None = None
        self.last_read_at = 0.0
        self._done: asyncio.Future[None] | None = None
        easy.setopt(pycurl.PATH_AS_IS, 1)
        easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        easy.setopt(pycurl.USERAGENT, options.user_agent)
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        easy.setopt(pycurl.PIPEWAIT, 1)  # prefer a stream on a multiplexing connection to another connection
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.NOPROXY, "")  # only `proxies` decides: libcurl reads NO_PROXY in another way
        easy.setopt(pycurl.BUFFERSIZE, _BUFFER)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, int(options.limits.connect_seconds * 1000))
        if authorities is not None:
            easy.setopt(pycurl.CAINFO, str(authorities))
        # Into a buffer, which costs a quarter of a callback per line; it is parsed on demand.
        easy.setopt(pycurl.WRITEHEADER, self._lines)
        easy.setopt(pycurl.WRITEFUNCTION, self._take)

    def begin(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        encoding: str | None,
        proxy: Proxy | None,
        steering: Steering | None,
        fresh: bool,
        receive: Receive,
    ) -> asyncio.Future[None]:
        """Set up the next transfer, and return a future that it completes; arguments as in ``Curl.get``."""
        self._receive, self._head, self.raised = receive, None, None
        self._lines.seek(0)
        self._lines.truncate()
        self.easy.setopt(pycurl.URL, url.encode())  # pycurl accepts only ASCII in a str
        request = (tuple(f"{name}: {value}" for name, value in headers.items()), encoding, proxy)
        if request != self._applied:
            # Setting an empty list changes nothing: the last request's headers, perhaps a login, would be sent again.
            self.easy.unsetopt(pycurl.HTTPHEADER)
            self.easy.setopt(pycurl.HTTPHEADER, list(request[0]))
            if encoding is None:
                self.easy.unsetopt(pycurl.ACCEPT_ENCODING)
            else:
                self.easy.setopt(pycurl.ACCEPT_ENCODING, encoding)
            self.easy.setopt(pycurl.PROXY, proxy.url if proxy else "")  # empty: no proxy, whatever the environment says
            if proxy and proxy.login:
                user, password = proxy.login
                self.easy.setopt(pycurl.PROXYUSERNAME, user.encode())
                self.easy.setopt(pycurl.PROXYPASSWORD, password.encode())
            else:
                self.easy.unsetopt(pycurl.PROXYUSERNAME)
                self.easy.unsetopt(pycurl.PROXYPASSWORD)
            self._applied = request
        self._set_connection(steering, fresh=fresh)
        self._done = asyncio.get_running_loop().create_future()
        return self._done

    def _set_connection(self, steering: Steering | None, *, fresh: bool) -> None:
        if fresh is not self._fresh:
            self.easy.setopt(pycurl.FRESH_CONNECT, int(fresh))
            self._fresh = fresh
        if steering is not None:
            self.easy.setopt(pycurl.RESOLVE, [steering.resolve])  # libcurl applies it once
            self.easy.setopt(pycurl.CONNECT_TO, [steering.connect_to])
        elif self._steering is not None:
            self.easy.unsetopt(pycurl.RESOLVE)
            self.easy.unsetopt(pycurl.CONNECT_TO)
        self._steering = steering

    def finish(self, error: TransferError | None = None) -> None:
        """Complete the future of the transfer, unless it is done or cancelled."""
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    def end(self) -> None:
        """Reset the handle after a transfer."""
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None
        self._receive, self._done, self.raised = _ignore, None, None

    @property
    def address(self) -> str:
        """The IP address of the other end in the last transfer; empty: there was no connection."""
        return str(self.easy.getinfo(pycurl.PRIMARY_IP) or "")

    def head(self) -> Head:
        """Return the head of the response."""
        if self._head is None:
            self._head = Head(self._lines.getvalue())
        return self._head

    def _take(self, chunk: bytes) -> int | None:
        if wait := self._bandwidth.wait():
            # libcurl keeps these bytes and reads no more; TCP's flow control slows the server down.
            self.last_read_at = time.monotonic() + wait
            self._resume_timer = asyncio.get_running_loop().call_later(wait, self._resume)
            return int(pycurl.WRITEFUNC_PAUSE)
        self._bandwidth.took(len(chunk))
        self.last_read_at = time.monotonic()
        try:
            self._receive(self.head(), chunk)
        except BaseException as error:  # noqa: BLE001 - raised again by Curl.get; libcurl would print and drop it
            self.raised = error
            return -1
        return None

    def _resume(self) -> None:
        self._resume_timer = None
        try:
            self.easy.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            # ``receive`` rejected the kept bytes. If nothing more arrives, libcurl would not report it.
            self.finish(TransferError(str(error), timeout=False))


def _ignore(_: Head, __: bytes) -> None:
    """Ignore bytes that arrive after the transfer."""
