"""The status line and headers of a response, parsed on demand."""

from functools import cached_property
from http import HTTPStatus

_CONTENT = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_KNOWN = frozenset(HTTPStatus)


class Head:
    """
    The status and headers of the final response.

    Args:
        received: every line up to the body, unchecked. An invalid status becomes 0.
    """

    def __init__(self, received: bytes) -> None:
        # RFC 9112 2.2: a line may end in LF alone. libcurl accepts that, so it must be split here, too.
        parts = received.replace(b"\r\n", b"\n").split(b"\n\n")
        # The last of several: a 100, a 103, or a proxy's response to CONNECT may precede it.
        block = next((part for part in reversed(parts) if part.startswith(b"HTTP/")), b"")
        version, _, rest = block[: len("HTTP/1.1 200")].partition(b" ")
        self.status = int(rest[:3]) if rest[:3].isdigit() else 0
        self.multiplexed = version == b"HTTP/2"
        """Whether it is HTTP/2, whose connection carries several requests at a time."""
        self.address = ""
        """The IP address at the other end of the connection, which may be a proxy's."""
        self._block = block

    @property
    def has_content(self) -> bool:
        """Whether the body is the requested content, or a part of it."""
        return self.status in _CONTENT

    @property
    def truncation_detectable(self) -> bool:
        """Whether the framing reveals a truncated body (RFC 9112 6.3)."""
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        return self.multiplexed or chunked or "content-length" in self.headers

    @cached_property
    def headers(self) -> dict[str, str]:
        """Headers by lower-case name; of several with one name, the last."""
        lines = (line.partition(":") for line in self._block.decode("latin-1").split("\n")[1:])
        return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}

    @property
    def status_text(self) -> str:
        """Status code and standard reason phrase; upstream's own phrase is not trusted."""
        phrase = HTTPStatus(self.status).phrase if self.status in _KNOWN else ""
        return f"{self.status} {phrase}".rstrip()
