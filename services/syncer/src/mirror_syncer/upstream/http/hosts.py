"""Which hosts may be asked: names with a port, of which one may stand for all hosts of a domain."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

_DEFAULT_PORTS = (443, 80)
# A label may begin or end with an underscore: Compose and Kubernetes name hosts so.
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST_PATTERN = re.compile(
    rf"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<wildcard>\*?\.)?(?P<name>{_NAME}(?:\.{_NAME})*)\.?)(?::(?P<port>\d{{1,5}}))?"
)
_MAX_PORT = 65_535


def parse_hosts(text: str) -> Iterator[str]:
    """
    Yield each ``host:port`` that a person's ``host`` or ``host:port`` stands for.

    ``*.example.org``, or ``.example.org``, stands for every host below that domain, and not for the domain itself.

    Raises:
        ValueError: it is neither.
    """
    match = _HOST_PATTERN.fullmatch(text)
    port = None if match is None or match["port"] is None else int(match["port"])
    if match is None or (port is not None and not 0 < port <= _MAX_PORT):
        raise ValueError("not a host or host:port, as in files.example.org, *.example.org:8443 or [2001:db8::1]:8000")
    host = match["address"] or f"{'*.' if match['wildcard'] else ''}{match['name']}"
    for number in _DEFAULT_PORTS if port is None else (port,):
        yield normalize_host_port(host, number)


def normalize_host_port(host: str, port: int) -> str:
    """Return how a host and a port are compared: in lower case, an IPv6 address in its shortest form."""
    host = host.lower().removesuffix(".")
    with suppress(ValueError):  # a name, or a zone behind an address, as in fe80::1%eth0
        host = str(ipaddress.IPv6Address(host))
    return f"{host}:{port}"


def is_allowed(host: str, port: int, *, allowed: Iterable[str]) -> bool:
    """Return whether a host is one of those allowed, by its own name or by its domain's."""
    asked = normalize_host_port(host, port)
    return any(asked == one or (one.startswith("*.") and asked.endswith(one[1:])) for one in allowed)
