"""A line of nginx's access log, parsed at the border; nginx/http/access_log.conf writes them."""

from typing import Annotated

import msgspec

# A broken-off request and its like still have all of these: nginx fills in what it does not know with "".
_MOMENT = r"^\d{4}-\d\d-\d\dT"


class Request(msgspec.Struct, frozen=True, gc=False, rename={"size": "bytes", "part": "range"}):
    """A request that nginx answered. What the client sent (uri, range, agent) is whatever a client sends."""

    time: Annotated[str, msgspec.Meta(pattern=_MOMENT)]
    method: str
    uri: str
    route: str
    status: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    part: str
    agent: str

    @property
    def day(self) -> str:
        """When, in UTC: nginx's container knows no other zone."""
        return self.time[:10]

    @property
    def path(self) -> str:
        """What was asked for, still percent-encoded, without the query."""
        return self.uri.partition("?")[0]


_decoder = msgspec.json.Decoder(Request)


def parse_line(line: bytes) -> Request | None:
    """Return the request; None where the line is torn, or no line of nginx's."""
    try:
        return _decoder.decode(line)
    except UnicodeDecodeError:
        # escape=json passes bytes that are no UTF-8, which any client can put into a header.
        return parse_line(line.decode(errors="replace").encode())
    except msgspec.DecodeError:
        return None
