"""The mirror's own address as the client sees it, from the Host header or the headers of proxies."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

# RFC 3986, 3.2.2, without characters that no mirror's host name has; with the underscore of Docker's names.
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?P<port>:\d{1,5})?", re.ASCII
)

# The path prefix of a proxy: only plain segments, so that it can neither name another host nor contain "..".
_PREFIX = re.compile(r"((?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]{1,64}){1,8})/?", re.ASCII)


class Address(NamedTuple):
    """The address of the mirror."""

    scheme: str
    host: str
    port: str
    prefix: str = ""

    @property
    def base(self) -> str:
        """The base of every URL of the mirror."""
        return f"{self.scheme}://{self.host}{self.port}{self.prefix}"

    @property
    def index_url(self) -> str:
        """The index URL for clients."""
        return f"{self.base}/simple/"

    @property
    def trusted_host(self) -> str | None:
        """The host that clients must be configured to trust because plain HTTP proves nothing; None with https."""
        return None if self.scheme == "https" else self.host

    @classmethod
    def of_request(cls, headers: Mapping[str, str]) -> Self:
        """
        Return the address that a request was sent to.

        The client can forge it, but only the client itself sees the result. An invalid host becomes a placeholder.
        """
        found = _HOST.fullmatch(headers.get("x-forwarded-host", headers.get("host", "")))
        scheme = "https" if headers.get("x-forwarded-proto") == "https" else "http"
        prefix = prefix_of(headers)
        if found is None:
            return cls(scheme, "THIS-HOST", "", prefix)
        return cls(scheme, found["name"], found["port"] or "", prefix)


def prefix_of(headers: Mapping[str, str]) -> str:
    """Return the path prefix that a proxy sent; empty if it sent none, or not a plain path."""
    found = _PREFIX.fullmatch(headers.get("x-forwarded-prefix", ""))
    return found[1] if found else ""


def root_of(raw_path: str) -> str:
    """
    Return the mirror's root relative to one of its pages, such as ``..`` for ``/ui/``.

    Relative links work under any host and path, whatever headers a proxy sends.
    """
    return "/".join([".."] * max(raw_path.count("/") - 1, 0)) or "."
