"""The wire between parent and worker process: pickled messages over a socket pair."""

import asyncio
import io
import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from operator import attrgetter
from typing import Any

from packaging.utils import NormalizedName

from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending
from mirror_syncer.work.setup import WorkerSetup
from mirror_syncer.work.worker import Job, Result

_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Begin:
    """Parent: open the worker."""

    setup: WorkerSetup


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: ready for jobs."""


@dataclass(frozen=True, slots=True)
class Do:
    """Parent: perform this job."""

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class Abandon:
    """Parent: cancel this job; the worker still answers it when nothing of it runs any longer."""

    number: int


@dataclass(frozen=True, slots=True)
class Done:
    """Worker: the result of a job, and the requests and retries since the last result."""

    number: int
    result: Result | Exception
    requests: list[tuple[str, str, float]] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CatalogQuery:
    """Worker: record these intents, or return the page that was kept for this project."""

    number: int
    query: tuple[Pending, ...] | NormalizedName


@dataclass(frozen=True, slots=True)
class CatalogAnswer:
    """Parent: the result of a query."""

    number: int
    result: set[PackagePath] | KeptPage | Exception | None


Message = Begin | Ready | Do | Abandon | Done | CatalogQuery | CatalogAnswer


class Wire(asyncio.Protocol):
    """
    One end of the wire.

    Pickle is safe here: both ends run the same program as the same user, and upstream's data crosses only as fields of
    parsed values.

    Args:
        receive: called with each message, in order.
        lost: called once, when the other end has closed.
    """

    def __init__(self, *, receive: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._buffer = bytearray()
        self._outgoing: list[Message] = []
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def over(cls, end: socket.socket, *, receive: Callable[[Message], None], lost: Callable[[], None]) -> "Wire":
        """Open one end of a socket pair."""
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_unix_connection(lambda: cls(receive=receive, lost=lost), sock=end)
        return wire

    def send(self, message: Message) -> None:
        """Send a message, together with all others of this iteration of the event loop; after the end, do nothing."""
        if self.closed:
            return
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(message)

    def _flush(self) -> None:
        messages, self._outgoing = self._outgoing, []
        if messages and self._transport is not None and not self.closed:
            body = _pickled(messages)
            self._transport.write(_LENGTH.pack(len(body)) + body)

    @property
    def closed(self) -> bool:
        """Whether the other end has closed."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Close this end, once what was sent is written."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes; give on the messages that are whole."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            with memoryview(self._buffer) as view, view[start + _LENGTH.size : end] as body:
                messages: list[Message] = pickle.loads(body)  # noqa: S301 - see above
            start = end
            for message in messages:
                self._receive(message)
        del self._buffer[:start]

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Report that the other end has closed."""
        self._lost()


class _Pickler(pickle.Pickler):
    """
    A pickler that writes a dataclass as its constructor's arguments.

    That takes half the time of dataclasses' own functions for slots, and a project needs four messages.
    """

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401 - the signature of pickle
        """Return constructor and arguments, or leave the value to pickle."""
        kind = type(value)
        if kind not in _arguments:
            _arguments[kind] = _reader_of(kind)
        read = _arguments[kind]
        return NotImplemented if read is None else (kind, read(value))


Arguments = Callable[[Any], tuple[Any, ...]]
_arguments: dict[type[Any], Arguments | None] = {}
"""What reads the constructor's arguments from an instance of a class; None: it is left to pickle."""


def _reader_of(kind: type[Any]) -> Arguments | None:
    if not is_dataclass(kind) or "__reduce__" in vars(kind):
        return None
    if not all(one.init and not one.kw_only for one in fields(kind)):
        return None
    names = [one.name for one in fields(kind)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _pickled(messages: list[Message]) -> bytes:
    into = io.BytesIO()
    _Pickler(into, pickle.HIGHEST_PROTOCOL).dump(messages)
    return into.getvalue()
