"""
libcurl under asyncio: any number of transfers on one multi handle, driven by the event loop's readiness.

Everything happens in the loop's thread and no call blocks: libcurl says which sockets and which timer it waits for, the
loop says when they are ready.
"""

import asyncio
import contextlib
import io
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http.client import responses
from pathlib import Path

import pycurl

from mirror_syncer.upstream.proxies import Proxy

_SWEEP_SECONDS = 0.25
_INTEREST = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_BUFFER = 512 * 1024  # libcurl's largest read; its own 16 KiB costs large files a third of their speed


class TransferError(Exception):
    """A transfer that libcurl gave up."""

    def __init__(self, message: str, *, timeout: bool) -> None:
        super().__init__(message)
        self.timeout = timeout


class Head:
    """What an answer begins with."""

    def __init__(self, received: bytes) -> None:
        # RFC 9112 2.2: a line may end in LF alone, and libcurl takes it so; whoever did not would read two as one.
        parts = received.replace(b"\r\n", b"\n").split(b"\n\n")
        # The last of several: a 100 or 103, or a proxy's answer to CONNECT, may come before.
        block = next((part for part in reversed(parts) if part.startswith(b"HTTP/")), b"")
        version, _, rest = block[: len("HTTP/1.1 200")].partition(b" ")
        self.status = int(rest[:3]) if rest[:3].isdigit() else 0
        self.multiplexed = version == b"HTTP/2"
        """By HTTP/2: its connection carries others at the same time."""
        self._block = block

    @cached_property
    def headers(self) -> dict[str, str]:
        """By lower-case name; the last of several."""
        lines = (line.partition(":") for line in self._block.decode("latin-1").split("\n")[1:])
        return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}

    @property
    def words(self) -> str:
        """The status as people read it; upstream's own reason may be anything."""
        return f"{self.status} {responses.get(self.status, '')}".rstrip()


@dataclass(frozen=True, slots=True)
class Options:
    """What all transfers have in common."""

    user_agent: str
    connections: int
    connect_seconds: float
    silence_seconds: float
    """The longest pause between two pieces of a body."""
    authorities: Path | None = None
    """A file in PEM; None: libcurl's own choice."""
    bandwidth: int | None = None
    """Bytes a second, of all transfers together; None: as many as come."""


Receive = Callable[[Head, bytes], None]
"""Takes the body's next bytes, decoded. What it raises ends the transfer and reaches the caller."""


class _Bandwidth:
    """Says when the next bytes may be taken, so that all transfers together keep within a rate."""

    def __init__(self, bytes_a_second: int | None) -> None:
        self._rate = bytes_a_second
        self._free_at = 0.0

    def wait(self) -> float:
        """Return for how many seconds nothing may be taken."""
        return 0.0 if self._rate is None else max(0.0, self._free_at - time.monotonic())

    def took(self, count: int) -> None:
        """Account for bytes; what was not used is lost, so that no pause is followed by a burst."""
        if self._rate is not None:
            self._free_at = max(time.monotonic(), self._free_at) + count / self._rate


class _Transfer:
    """An easy handle, and the transfer that it is lent to; options that stay are set once in its life."""

    def __init__(self, options: Options, bandwidth: _Bandwidth) -> None:
        self.easy = easy = pycurl.Curl()
        self._bandwidth = bandwidth
        self._resumption: asyncio.TimerHandle | None = None
        self._lines = io.BytesIO()
        self._said: tuple[tuple[str, ...], str | None, Proxy | None] | None = None
        self._receive: Receive = _nowhere
        self._head: Head | None = None
        self.raised: BaseException | None = None
        self.done: asyncio.Future[None] | None = None
        self.heard_at = 0.0
        easy.setopt(pycurl.PATH_AS_IS, 1)
        easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        easy.setopt(pycurl.USERAGENT, options.user_agent)
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        easy.setopt(pycurl.PIPEWAIT, 1)  # rather a stream of a connection that multiplexes than a connection more
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.BUFFERSIZE, _BUFFER)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, int(options.connect_seconds * 1000))
        if options.authorities is not None:
            easy.setopt(pycurl.CAINFO, str(options.authorities))
        # Into a buffer, which costs a quarter of a call for each line; they are parsed when somebody asks.
        easy.setopt(pycurl.WRITEHEADER, self._lines)
        easy.setopt(pycurl.WRITEFUNCTION, self._take)

    def begin(
        self, url: str, *, headers: Mapping[str, str], encoding: str | None, proxy: Proxy | None, receive: Receive
    ) -> None:
        """Get ready for the next one."""
        self._receive, self._head, self.raised = receive, None, None
        self._lines.seek(0)
        self._lines.truncate()
        self.easy.setopt(pycurl.URL, url.encode())  # of a str it takes ASCII alone
        wanted = (tuple(f"{name}: {value}" for name, value in headers.items()), encoding, proxy)
        if wanted != self._said:
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
            self._said = wanted

    def end(self) -> None:
        """Let go of what it was lent to."""
        if self._resumption is not None:
            self._resumption.cancel()
            self._resumption = None
        self._receive, self.done, self.raised = _nowhere, None, None

    def head(self) -> Head:
        """Return what the answer began with."""
        if self._head is None:
            self._head = Head(self._lines.getvalue())
        return self._head

    def _take(self, chunk: bytes) -> int | None:
        if wait := self._bandwidth.wait():
            # libcurl keeps these bytes, and reads no more: the server feels it by TCP's own means.
            self.heard_at = time.monotonic() + wait
            self._resumption = asyncio.get_running_loop().call_later(wait, self._resume)
            return int(pycurl.WRITEFUNC_PAUSE)
        self._bandwidth.took(len(chunk))
        self.heard_at = time.monotonic()
        try:
            self._receive(self.head(), chunk)
        except BaseException as error:  # noqa: BLE001 - raised by get; libcurl would print and forget it
            self.raised = error
            return -1
        return None

    def _resume(self) -> None:
        self._resumption = None
        try:
            self.easy.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            # The receiver said no to what was kept. Where nothing more comes, libcurl would not tell of it.
            if self.done is not None and not self.done.done():
                self.done.set_exception(TransferError(str(error), timeout=False))


class Curl:
    """A multi handle. Connections are kept and shared; over TLS, HTTP/2 carries many requests on each."""

    def __init__(self, options: Options) -> None:
        self._options = options
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
        self._bandwidth = _Bandwidth(options.bandwidth)
        self._idle: list[_Transfer] = []
        self._under_way: dict[pycurl.Curl, _Transfer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When libcurl wants to be called; 0: it does not."""
        self._sweep: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close every connection; no transfer may be under way."""
        for transfer in self._idle:
            transfer.easy.close()
        self._multi.close()
        self._loop.remove_reader(self._sockets.fileno())
        self._sockets.close()
        for handle in (self._timer, self._sweep):
            if handle is not None:
                handle.cancel()

    async def get(
        self, url: str, *, headers: Mapping[str, str], encoding: str | None, proxy: Proxy | None, receive: Receive
    ) -> Head:
        """
        GET a URL, its body poured into ``receive``. Cancelled, the transfer stops at once.

        Args:
            encoding: what to accept and to decode, such as gzip; None: the body as it is.
            proxy: None: none, whatever the environment says.

        Raises:
            TransferError: no answer, or one that broke off or fell silent.
        """
        transfer = self._idle.pop() if self._idle else _Transfer(self._options, self._bandwidth)
        transfer.begin(url, headers=headers, encoding=encoding, proxy=proxy, receive=receive)
        transfer.heard_at = time.monotonic() + self._options.connect_seconds
        transfer.done = self._loop.create_future()
        self._under_way[transfer.easy] = transfer
        self._multi.add_handle(transfer.easy)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._end_the_silent)
        try:
            await transfer.done
            return transfer.head()
        except TransferError:
            if transfer.raised is not None:
                raise transfer.raised from None
            raise
        finally:
            del self._under_way[transfer.easy]
            self._multi.remove_handle(transfer.easy)
            transfer.end()
            self._idle.append(transfer)

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
                self._resolve(easy, None)
            for easy, code, message in failed:
                self._resolve(easy, TransferError(message, timeout=code == pycurl.E_OPERATION_TIMEDOUT))
            if not left:
                return

    def _resolve(self, easy: pycurl.Curl, error: TransferError | None) -> None:
        transfer = self._under_way.get(easy)
        if transfer is None or transfer.done is None or transfer.done.done():
            return
        if error is None:
            transfer.done.set_result(None)
        else:
            transfer.done.set_exception(error)

    def _end_the_silent(self) -> None:
        """End transfers that were silent for too long; one look at all of them costs less than a timer each."""
        latest = time.monotonic() - self._options.silence_seconds
        for easy, transfer in self._under_way.items():
            if transfer.heard_at < latest:
                self._resolve(easy, TransferError("no answer in time", timeout=True))
        self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._end_the_silent) if self._under_way else None


def _nowhere(_: Head, __: bytes) -> None:
    """Take what comes too late."""
