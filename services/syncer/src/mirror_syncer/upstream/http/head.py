"""What an answer begins with: its status line and its headers, read when somebody asks for them."""

from functools import cached_property
from http import HTTPStatus
from http.client import responses

_CONTENT = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})


class Head:
    """
    The last of the heads that came.

    Args:
        received: every line up to the body, as it came. None of it is believed: what is no status is 0.
    """

    def __init__(self, received: bytes) -> None:
        # RFC 9112 2.2: a line may end in LF alone, and libcurl takes it so; whoever did not would read two as one.
        parts = received.replace(b"\r\n", b"\n").split(b"\n\n")
        # The last of several: a 100 or 103, or a proxy's answer to CONNECT, may come before.
        block = next((part for part in reversed(parts) if part.startswith(b"HTTP/")), b"")
        version, _, rest = block[: len("HTTP/1.1 200")].partition(b" ")
        self.status = int(rest[:3]) if rest[:3].isdigit() else 0
        self.multiplexed = version == b"HTTP/2"
        """By HTTP/2: its connection carries others at the same time."""
        self.address = ""
        """Whose answer it is: the IP address at the other end of the connection, which may be a proxy's."""
        self._block = block

    @property
    def has_content(self) -> bool:
        """Whether the body is what was asked for, or a part of it."""
        return self.status in _CONTENT

    @property
    def truncation_detectable(self) -> bool:
        """Whether a body that is cut can be told from one that is whole (RFC 9112 6.3)."""
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        return self.multiplexed or chunked or "content-length" in self.headers

    @cached_property
    def headers(self) -> dict[str, str]:
        """By lower-case name; the last of several."""
        lines = (line.partition(":") for line in self._block.decode("latin-1").split("\n")[1:])
        return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}

    @property
    def status_text(self) -> str:
        """The status as people read it; upstream's own reason may be anything."""
        return f"{self.status} {responses.get(self.status, '')}".rstrip()
