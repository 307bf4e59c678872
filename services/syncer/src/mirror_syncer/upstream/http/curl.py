"""
libcurl under asyncio: any number of transfers on one multi handle, driven by the event loop's readiness.

Everything happens in the loop's thread and no call blocks: libcurl says which sockets and which timer it waits for, the
loop says when they are ready.
"""

import asyncio
import contextlib
import select
import time
from collections.abc import Mapping

import pycurl

from mirror_syncer.upstream.http.addresses import Steering
from mirror_syncer.upstream.http.authorities import trusted_authorities
from mirror_syncer.upstream.http.bandwidth import Bandwidth
from mirror_syncer.upstream.http.handle import Handle, Receive, TransferError
from mirror_syncer.upstream.http.head import Head
from mirror_syncer.upstream.http.options import ClientOptions
from mirror_syncer.upstream.http.proxies import Proxy

_SWEEP_SECONDS = 0.25
# A writing error that no ``receive`` raised is libcurl's decoder's.
_UNDECODABLE = frozenset({pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_WRITE_ERROR})
_INTEREST = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}


class Curl:
    """
    A multi handle, of the event loop that it is made in.

    Connections are kept and shared; over TLS, HTTP/2 carries many requests on each.

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
        # libcurl lets go of a socket after each answer and takes it up again for the next request. An epoll of our own,
        # which the loop watches as one, does that for 25 µs a request less than the loop's readers.
        self._sockets = select.epoll()
        self._watched: set[int] = set()
        self._loop.add_reader(self._sockets.fileno(), self._hear)
        self._bandwidth = Bandwidth(options.bandwidth)
        self._idle: list[Handle] = []
        self._under_way: dict[pycurl.Curl, Handle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When libcurl wants to be called; 0: it does not."""
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
        steering: Steering | None = None,
        fresh: bool = False,
        receive: Receive,
    ) -> Head:
        """
        GET a URL, its body poured into ``receive``. Cancelled, the transfer stops at once.

        Args:
            encoding: what to accept and to decode, such as gzip; None: the body as it is.
            proxy: None: none, whatever the environment says.
            steering: where to connect to; None: to the URL's host, at any of its addresses.
            fresh: by a new connection, whatever others are idle.

        Raises:
            TransferError: no answer, or one that broke off or fell silent.
            BaseException: whatever ``receive`` raised.
        """
        handle = self._idle.pop() if self._idle else self._new_handle()
        done = handle.begin(
            url, headers=headers, encoding=encoding, proxy=proxy, steering=steering, fresh=fresh, receive=receive
        )
        handle.heard_at = time.monotonic() + self._options.limits.connect_seconds
        self._under_way[handle.easy] = handle
        self._multi.add_handle(handle.easy)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._end_the_silent)
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
        wanted = _INTEREST.get(event, 0)
        if not wanted:
            self._watched.discard(descriptor)
            with contextlib.suppress(OSError):  # closed since, which took it from the list
                self._sockets.unregister(descriptor)
            return
        with contextlib.suppress(FileNotFoundError):  # as above, and its number is another socket's now
            if descriptor in self._watched:
                self._sockets.modify(descriptor, wanted)
                return
        self._watched.add(descriptor)
        self._sockets.register(descriptor, wanted)

    def _hear(self) -> None:
        for descriptor, events in self._sockets.poll(0):
            ready = pycurl.CSELECT_IN if events & ~select.EPOLLOUT else 0
            self._multi.socket_action(descriptor, ready | (pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0))
        self._look()

    def _set_timer(self, milliseconds: int) -> None:
        if milliseconds < 0:
            self._due = 0.0  # a timer that finds nothing due costs less than its cancellation
            return
        self._due = self._loop.time() + milliseconds / 1000
        if self._timer is None or self._timer.when() > self._due:
            self._await_due()

    def _await_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._due:
            return
        if self._loop.time() < self._due:
            self._await_due()
        else:
            self._due = 0.0
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._look()

    def _look(self) -> None:
        """See which transfers have ended."""
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
        if handle := self._under_way.get(easy):  # none where it was cancelled meanwhile
            handle.finish(error)

    def _end_the_silent(self) -> None:
        """End transfers that were silent for too long; one look at all of them costs less than a timer each."""
        latest = time.monotonic() - self._options.limits.silence_seconds
        for handle in self._under_way.values():
            if handle.heard_at < latest:
                handle.finish(TransferError("no answer in time", timeout=True))
        self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._end_the_silent) if self._under_way else None
