"""A parser of server-sent events (HTML standard, 9.2.6), limited to the fields that control sends."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple


class Event(NamedTuple):
    """A server-sent event."""

    name: str
    data: str


async def read_events(lines: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """Yield the events of a stream; skip comments and unused fields."""
    fields: dict[str, list[str]] = {}
    async for line in lines:
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        if name:
            fields.setdefault(name, []).append(value.removeprefix(" "))
        elif "data" in fields:
            yield Event(name=fields.get("event", ["message"])[-1], data="\n".join(fields["data"]))
            fields = {}
