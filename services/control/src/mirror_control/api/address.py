"""The mirror's own address, as the client that asks reaches it: directly, or through proxies that say so."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

# RFC 3986, 3.2.2, less what no host that serves a mirror is called; with the underscore of Docker's names.
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?P<port>:\d{1,5})?", re.ASCII
)


# The path that a proxy in front gives the mirror: plain segments, so that it neither names another host nor climbs.
_PREFIX = re.compile(r"((?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]{1,64}){1,8})/?", re.ASCII)


class Address(NamedTuple):
    """Where the mirror is."""

    scheme: str
    host: str
    port: str
    prefix: str = ""

    @property
    def base(self) -> str:
        """Return what every URL of the mirror begins with."""
        return f"{self.scheme}://{self.host}{self.port}{self.prefix}"

    @property
    def index_url(self) -> str:
        """What clients call the index URL."""
        return f"{self.base}/simple/"

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
        prefix = prefix_of(headers)
        if found is None:
            return cls(scheme, "THIS-HOST", "", prefix)
        return cls(scheme, found["name"], found["port"] or "", prefix)


def prefix_of(headers: Mapping[str, str]) -> str:
    """Return the path that a proxy in front says it gave the mirror; empty if none does, or if it is no plain path."""
    found = _PREFIX.fullmatch(headers.get("x-forwarded-prefix", ""))
    return found[1] if found else ""


def root_of(raw_path: str) -> str:
    """
    Return the mirror's root relative to a page of it, such as ``..`` for ``/ui/``.

    Links by it hold under any host and path, whatever proxies in front say or do not say.
    """
    return "/".join([".."] * max(raw_path.count("/") - 1, 0)) or "."
