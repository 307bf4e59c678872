"""Lines of nginx's access log, which nginx/http/access_log.conf defines."""

from typing import Annotated

import msgspec

# Aborted and invalid requests also have all fields: nginx writes "" for unknown values.
_TIME_PATTERN = r"^\d{4}-\d\d-\d\dT"


class Request(msgspec.Struct, frozen=True, gc=False, rename={"size": "bytes", "byte_range": "range"}):
    """A request that nginx answered. The client controls uri, range and agent: do not trust them."""

    time: Annotated[str, msgspec.Meta(pattern=_TIME_PATTERN)]
    method: str
    uri: str
    route: str
    status: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    byte_range: str
    agent: str
    cache: str = ""
    python: str = ""
    """The Python that installs, such as ``3.13``."""

    @property
    def day(self) -> str:
        """The day in UTC, in which nginx's container runs."""
        return self.time[:10]

    @property
    def path(self) -> str:
        """The path without the query, still percent-encoded."""
        return self.uri.partition("?")[0]


_decoder = msgspec.json.Decoder(Request)


def parse_line(line: bytes) -> Request | None:
    """Parse a line; return None if it is truncated or not nginx's."""
    try:
        return _decoder.decode(line)
    except UnicodeDecodeError:
        # escape=json passes on invalid UTF-8, which any client can put into a header.
        return parse_line(line.decode(errors="replace").encode())
    except msgspec.DecodeError:
        return None
