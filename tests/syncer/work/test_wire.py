"""The wire between parent and worker process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from mirror_syncer.config import ProjectPolicy, Serve
from mirror_syncer.config.policy.selection import Selection
from mirror_syncer.errors import VolumeFullError
from mirror_syncer.model.names import PackagePath, Sha256
from mirror_syncer.model.priority import Priority
from mirror_syncer.model.project import Pending, ProjectRow
from mirror_syncer.upstream import ClientOptions
from mirror_syncer.work.setup import WorkerSetup
from mirror_syncer.work.transfer import Work
from mirror_syncer.work.wire import Abandon, Begin, CatalogAnswer, CatalogQuery, Do, Done, Message, Ready, Wire

NAME = NormalizedName("six")
PLACE = PackagePath("packages/ab/six-1.0.tar.gz")
POLICY = ProjectPolicy(Selection("a line", (), named=True))
Ends = tuple[Wire, Callable[[], Awaitable[list[Message]]]]


def messages() -> list[Message]:
    """Return one message of each kind, with values of every shape."""
    setup = WorkerSetup(
        root=Path("/srv"),
        reserve=0.05,
        upstream="https://pypi.example.org",
        client=ClientOptions(user_agent="test", hosts=frozenset({"pypi.example.org:443"}), connections=3),
        files_at_once=4,
    )
    work = Work(
        NAME, Priority.NAMED, ProjectRow(NAME, serial=7), POLICY, Serve(), 60, "2-a", damaged=frozenset({PLACE})
    )
    return [
        Begin(setup),
        Ready(),
        Do(1, work),
        CatalogQuery(1, (Pending(NAME, PLACE, Sha256("a" * 64)), Pending.page(NAME))),
        CatalogQuery(2, NAME),
        CatalogAnswer(1, {PLACE}),
        CatalogAnswer(2, None),
        Done(1, None, [("file", "200", 0.1)], ["503"]),
        Abandon(1),
    ]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """A wire, and what closes it and returns all that arrived at the other end."""
    arrived, ended = list[Message](), asyncio.Event()
    ours, theirs = socket.socketpair()
    sender = await Wire.over(ours, receive=lambda _: None, lost=lambda: None)
    receiver = await Wire.over(theirs, receive=arrived.append, lost=ended.set)

    async def close() -> list[Message]:
        sender.close()
        await ended.wait()
        return arrived

    yield sender, close
    sender.close()
    receiver.close()
    await asyncio.sleep(0)  # asyncio closes the sockets in its next iteration


async def test_messages_arrive_equal_and_in_order(ends: Ends) -> None:
    """Whatever crosses the wire arrives in order and as it was, however many messages are sent together."""
    sender, close = ends
    for message in messages():
        sender.send(message)
    await asyncio.sleep(0)
    for message in messages() * 50:
        sender.send(message)

    assert await close() == messages() * 51
    sender.send(Ready())  # to nobody


async def test_errors_arrive_as_they_were(ends: Ends) -> None:
    """An error that crosses the wire keeps its class and its message."""
    sender, close = ends
    sender.send(Done(1, VolumeFullError("the disk is full")))

    (done,) = await close()
    assert isinstance(done, Done)
    assert (type(done.result), str(done.result)) == (VolumeFullError, "the disk is full")
