"""Server-sent events as a client hears them (HTML standard, 9.2.6), as far as control's go."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple


class Event(NamedTuple):
    """One event."""

    name: str
    data: str


async def read_events(lines: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """Yield the events of a stream; comments and fields that we have no use for are passed over."""
    fields: dict[str, list[str]] = {}
    async for line in lines:
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        if name:
            fields.setdefault(name, []).append(value.removeprefix(" "))
        elif "data" in fields:
            yield Event(name=fields.get("event", ["message"])[-1], data="\n".join(fields["data"]))
            fields = {}
