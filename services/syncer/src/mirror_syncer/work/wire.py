"""What parent and worker process say to each other: whole messages over a socket pair, by pickle."""

import asyncio
import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from packaging.utils import NormalizedName

from mirror_syncer.model.names import PackagePath
from mirror_syncer.model.project import KeptPage, Pending
from mirror_syncer.work.setup import WorkerSetup
from mirror_syncer.work.worker import Job, Result

_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Begin:
    """Parent: get ready."""

    setup: WorkerSetup


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: waiting for jobs."""


@dataclass(frozen=True, slots=True)
class Do:
    """Parent: perform this."""

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class Abandon:
    """Parent: nobody waits for this job any more; it is answered all the same, when nothing is done for it."""

    number: int


@dataclass(frozen=True, slots=True)
class Done:
    """Worker: that is what came of it; and what went on since the last one."""

    number: int
    result: Result | Exception
    requests: list[tuple[str, str, float]] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ask:
    """Worker: an errand."""

    number: int
    wish: tuple[Pending, ...] | NormalizedName
    """Intents to note, or the project whose kept page is wanted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Parent: the errand is done."""

    number: int
    found: set[PackagePath] | KeptPage | Exception | None


Message = Begin | Ready | Do | Abandon | Done | Ask | Answer


class Wire(asyncio.Protocol):
    """
    One end of it.

    Both ends are one program and one user's, so a pickle gives nobody what he has not already; nothing of upstream's
    comes over it but as fields of parsed values.

    Args:
        receive: called with each message, in order.
        lost: called once, when the other end is gone.
    """

    def __init__(self, *, receive: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def over(cls, end: socket.socket, *, receive: Callable[[Message], None], lost: Callable[[], None]) -> "Wire":
        """Return an end of a socket pair, open."""
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_unix_connection(lambda: cls(receive=receive, lost=lost), sock=end)
        return wire

    def send(self, message: Message) -> None:
        """Say something; where the other end is gone, ``lost`` has been told."""
        if self._transport is not None and not self.closed:
            body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
            self._transport.write(_LENGTH.pack(len(body)) + body)

    @property
    def closed(self) -> bool:
        """Whether what is said reaches nobody any more."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes; give on each message that is whole."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            with memoryview(self._buffer) as view, view[start + _LENGTH.size : end] as body:
                message = pickle.loads(body)  # noqa: S301 - see above
            start = end
            self._receive(message)
        del self._buffer[:start]

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The other end is gone."""
        self._lost()
