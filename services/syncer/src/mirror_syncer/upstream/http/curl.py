"""
libcurl under asyncio: any number of transfers on one multi handle, driven by the event loop's readiness.

Everything happens in the event loop's thread, and no call blocks: libcurl names the sockets and the timer that it waits
for, and the event loop reports when they are ready.
"""

import asyncio
import contextlib
import select
import time
from collections.abc import Mapping

import pycurl

from mirror_syncer.upstream.http.addresses import AddressOverride
from mirror_syncer.upstream.http.authorities import trusted_authorities
from mirror_syncer.upstream.http.bandwidth import Bandwidth
from mirror_syncer.upstream.http.handle import Handle, Receive, TransferError
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.options import ClientOptions
from mirror_syncer.upstream.http.proxies import Proxy

_SWEEP_SECONDS = 0.25
# A write error that no ``receive`` raised comes from libcurl's decoder.
_UNDECODABLE = frozenset({pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_WRITE_ERROR})
_INTEREST = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}


class Curl:
    """
    A multi handle that belongs to the event loop in which it is created.

    Connections are kept open and shared; over TLS, each HTTP/2 connection carries many requests.

    Raises:
        ConfigurationError: ``MIRROR_CA_FILE`` cannot be read, or holds no certificate.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._open = contextlib.ExitStack()
        self._authorities = self._open.enter_context(trusted_authorities(options.ca_file))
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, options.connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, options.connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        # libcurl stops to watch a socket after each response and watches it again for the next request. An epoll object
        # that the event loop watches as one reader saves 25 µs per request compared with one reader per socket.
        self._sockets = select.epoll()
        self._watched: set[int] = set()
        """The sockets that libcurl waits for; others may still be registered."""
        self._loop.add_reader(self._sockets.fileno(), self._handle_sockets)
        self._bandwidth = Bandwidth(options.bandwidth)
        self._idle: list[Handle] = []
        self._under_way: dict[pycurl.Curl, Handle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When libcurl wants to be called; 0: never."""
        self._sweep: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close every connection; no transfer may be under way."""
        for handle in self._idle:
            handle.easy.close()
        self._multi.close()
        self._loop.remove_reader(self._sockets.fileno())
        self._sockets.close()
        for timer in (self._timer, self._sweep):
            if timer is not None:
                timer.cancel()
        self._open.close()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        encoding: str | None,
        proxy: Proxy | None,
        steering: AddressOverride | None = None,
        fresh: bool = False,
        receive: Receive,
    ) -> Head:
        """
        GET a URL and pass its body to ``receive``. Cancelled, the transfer stops at once.

        Args:
            encoding: the encoding to accept and decode, such as gzip; None: the body as it is.
            proxy: None: no proxy, whatever the environment says.
            steering: where to connect to; None: any address of the URL's host.
            fresh: open a new connection even if others are idle.

        Raises:
            TransferError: there was no response, or it was interrupted or fell silent.
            BaseException: whatever ``receive`` raised.
        """
        handle = self._idle.pop() if self._idle else self._new_handle()
        done = handle.begin(
            url, headers=headers, encoding=encoding, proxy=proxy, steering=steering, fresh=fresh, receive=receive
        )
        handle.last_read_at = time.monotonic() + self._options.limits.connect_seconds
        self._under_way[handle.easy] = handle
        self._multi.add_handle(handle.easy)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._end_silent_transfers)
        try:
            await done
        except TransferError as error:
            if handle.raised is not None:
                raise handle.raised from None
            error.address = handle.address
            raise
        else:
            head = handle.head()
            head.address = handle.address
            return head
        finally:
            del self._under_way[handle.easy]
            self._multi.remove_handle(handle.easy)
            handle.end()
            self._idle.append(handle)

    def _new_handle(self) -> Handle:
        return Handle(self._options, authorities=self._authorities, bandwidth=self._bandwidth)

    def _watch(self, event: int, descriptor: int, _multi: object, _data: object) -> None:
        events = _INTEREST.get(event, 0)
        if not events:
            # It stays registered, since the next request usually takes it again; ``_handle_sockets`` ignores it.
            self._watched.discard(descriptor)
            return
        self._watched.add(descriptor)
        try:
            self._sockets.modify(descriptor, events)
        except FileNotFoundError:  # new; or closed since, which unregistered it, and the number is another socket's
            self._sockets.register(descriptor, events)

    def _handle_sockets(self) -> None:
        for descriptor, events in self._sockets.poll(0):
            if descriptor not in self._watched:  # the server closes an idle connection; libcurl finds out by itself
                with contextlib.suppress(OSError):
                    self._sockets.unregister(descriptor)
                continue
            ready = pycurl.CSELECT_IN if events & ~select.EPOLLOUT else 0
            self._multi.socket_action(descriptor, ready | (pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0))
        self._finish_transfers()

    def _set_timer(self, milliseconds: int) -> None:
        if milliseconds < 0:
            self._due = 0.0  # a timer that finds nothing due costs less than cancelling it
            return
        self._due = self._loop.time() + milliseconds / 1000
        if self._timer is None or self._timer.when() > self._due:
            self._schedule_timer()

    def _schedule_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = None
        if not self._due:
            return
        if self._loop.time() < self._due:
            self._schedule_timer()
        else:
            self._due = 0.0
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._finish_transfers()

    def _finish_transfers(self) -> None:
        """Finish the transfers that have ended."""
        while True:
            left, succeeded, failed = self._multi.info_read()
            for easy in succeeded:
                self._finish(easy, None)
            for easy, code, message in failed:
                timeout = code == pycurl.E_OPERATION_TIMEDOUT
                undecodable = code in _UNDECODABLE
                self._finish(easy, TransferError(message, timeout=timeout, undecodable=undecodable))
            if not left:
                return

    def _finish(self, easy: pycurl.Curl, error: TransferError | None) -> None:
        if handle := self._under_way.get(easy):  # None if it was cancelled meanwhile
            handle.finish(error)

    def _end_silent_transfers(self) -> None:
        """End transfers that were silent for too long; checking all of them costs less than a timer for each."""
        latest = time.monotonic() - self._options.limits.silence_seconds
        for handle in self._under_way.values():
            if handle.last_read_at < latest:
                handle.finish(TransferError("no answer in time", timeout=True))
        self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._end_silent_transfers) if self._under_way else None
