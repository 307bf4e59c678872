"""
libcurl under asyncio: any number of transfers on one multi handle, driven by the event loop's readiness.

Everything happens in the loop's thread and no call blocks: libcurl says which sockets and which timer it waits for, the
loop says when they are ready.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import responses
from pathlib import Path

import pycurl

_BUFFER = 512 * 1024  # libcurl's largest read; its own 16 KiB costs large files a third of their speed


class TransferError(Exception):
    """A transfer that libcurl gave up."""

    def __init__(self, message: str, *, timeout: bool) -> None:
        super().__init__(message)
        self.timeout = timeout


@dataclass(slots=True)
class Head:
    """What an answer begins with."""

    status: int = 0
    multiplexed: bool = False
    """By HTTP/2: its connection carries others at the same time."""
    headers: dict[str, str] = field(default_factory=dict)
    """By lower-case name; the last of several."""

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
    authorities: Path | None = None
    """A file in PEM; None: libcurl's own choice."""


Receive = Callable[[Head, bytes], None]
"""Takes the body's next bytes, decoded. What it raises ends the transfer and reaches the caller."""


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
        self._idle: list[pycurl.Curl] = []
        self._under_way: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close every connection; no transfer may be under way."""
        for easy in self._idle:
            easy.close()
        self._multi.close()
        self._set_timer(-1)

    async def get(
        self, url: str, *, headers: Mapping[str, str], encoding: str | None, proxy: str, receive: Receive
    ) -> Head:
        """
        GET a URL, its body poured into ``receive``. Cancelled, the transfer stops at once.

        Args:
            encoding: what to accept and to decode, such as gzip; None: the body as it is.
            proxy: its URL, or an empty string for none, whatever the environment says.

        Raises:
            TransferError: no answer, or one that broke off.
        """
        head, raised = Head(), list[BaseException]()
        easy = self._idle.pop() if self._idle else pycurl.Curl()
        self._prepare(easy, url, headers=headers, encoding=encoding, proxy=proxy)

        def take(chunk: bytes) -> int | None:
            try:
                receive(head, chunk)
            except BaseException as error:  # noqa: BLE001 - raised below; libcurl would print and forget it
                raised.append(error)
                return -1
            return None

        easy.setopt(pycurl.HEADERFUNCTION, lambda line: _read(line, into=head))
        easy.setopt(pycurl.WRITEFUNCTION, take)
        done: asyncio.Future[None] = self._loop.create_future()
        self._under_way[easy] = done
        self._multi.add_handle(easy)
        try:
            await done
        except TransferError:
            if raised:
                raise raised[0] from None
            raise
        finally:
            del self._under_way[easy]
            self._multi.remove_handle(easy)
            easy.reset()
            self._idle.append(easy)
        return head

    def _prepare(
        self, easy: pycurl.Curl, url: str, *, headers: Mapping[str, str], encoding: str | None, proxy: str
    ) -> None:
        easy.setopt(pycurl.URL, url.encode())  # of a str it takes ASCII alone
        easy.setopt(pycurl.PATH_AS_IS, 1)
        easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        easy.setopt(pycurl.PROXY, proxy)
        easy.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        easy.setopt(pycurl.USERAGENT, self._options.user_agent)
        if encoding is not None:
            easy.setopt(pycurl.ACCEPT_ENCODING, encoding)
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        easy.setopt(pycurl.PIPEWAIT, 1)  # rather a stream of a connection that multiplexes than a connection more
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.BUFFERSIZE, _BUFFER)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._options.connect_seconds * 1000))
        if self._options.authorities is not None:
            easy.setopt(pycurl.CAINFO, str(self._options.authorities))

    def _watch(self, event: int, descriptor: int, _multi: object, _data: object) -> None:
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        if event in (pycurl.POLL_IN, pycurl.POLL_INOUT):
            self._loop.add_reader(descriptor, self._act, descriptor, pycurl.CSELECT_IN)
        if event in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            self._loop.add_writer(descriptor, self._act, descriptor, pycurl.CSELECT_OUT)

    def _set_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            self._timer = self._loop.call_later(milliseconds / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, ready: int) -> None:
        self._multi.socket_action(descriptor, ready)
        while True:
            left, succeeded, failed = self._multi.info_read()
            for easy in succeeded:
                _resolve(self._under_way.get(easy), None)
            for easy, code, message in failed:
                error = TransferError(message, timeout=code == pycurl.E_OPERATION_TIMEDOUT)
                _resolve(self._under_way.get(easy), error)
            if not left:
                return


def _resolve(done: asyncio.Future[None] | None, error: TransferError | None) -> None:
    if done is None or done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _read(line: bytes, *, into: Head) -> None:
    text = line.decode("latin-1").rstrip("\r\n")
    if text.startswith("HTTP/"):
        # A new head: a 100 or 103, or a proxy's answer to CONNECT, came before.
        version, _, rest = text.partition(" ")
        into.status, into.multiplexed = int(rest[:3]), version == "HTTP/2"
        into.headers.clear()
    elif ":" in text:
        name, _, value = text.partition(":")
        into.headers[name.strip().lower()] = value.strip()
