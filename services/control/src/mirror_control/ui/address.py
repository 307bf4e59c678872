"""The mirror's own address, as whoever asks reaches it."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

# RFC 3986, 3.2.2, less what no host that serves a mirror is called; with the underscore of Docker's names.
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?P<port>:\d{1,5})?", re.ASCII
)


class Address(NamedTuple):
    """Where the mirror is."""

    scheme: str
    host: str
    port: str

    @property
    def origin(self) -> str:
        """What every URL of it begins with."""
        return f"{self.scheme}://{self.host}{self.port}"

    @property
    def index_url(self) -> str:
        """What clients call the index URL."""
        return f"{self.origin}/simple/"

    @property
    def trusted(self) -> str | None:
        """The host that clients must be told to trust, since nothing proves who answers; None with https."""
        return None if self.scheme == "https" else self.host

    @classmethod
    def of_request(cls, headers: Mapping[str, str]) -> Self:
        """
        Return where a request was sent to, by its own word: it is told to who sent it, and to nobody else.

        What is no address becomes a placeholder that nobody takes for one.
        """
        found = _HOST.fullmatch(headers.get("x-forwarded-host", headers.get("host", "")))
        scheme = "https" if headers.get("x-forwarded-proto") == "https" else "http"
        return cls(scheme, found["name"], found["port"] or "") if found else cls(scheme, "THIS-HOST", "")
