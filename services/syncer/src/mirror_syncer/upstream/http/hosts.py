"""Allowed hosts: names with a port, or a wildcard for all hosts of a domain."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

_DEFAULT_PORTS = (443, 80)
# A label may begin or end with an underscore: Compose and Kubernetes use such names.
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST_PATTERN = re.compile(
    rf"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<wildcard>\*?\.)?(?P<name>{_NAME}(?:\.{_NAME})*)\.?)(?::(?P<port>\d{{1,5}}))?"
)
_MAX_PORT = 65_535


def parse_hosts(text: str) -> Iterator[str]:
    """
    Yield each normalized ``host:port`` for a configured ``host`` or ``host:port``.

    ``*.example.org`` or ``.example.org`` means every host below that domain, but not the domain itself.

    Raises:
        ValueError: the text is neither.
    """
    match = _HOST_PATTERN.fullmatch(text)
    port = None if match is None or match["port"] is None else int(match["port"])
    if match is None or (port is not None and not 0 < port <= _MAX_PORT):
        raise ValueError("not a host or host:port, as in files.example.org, *.example.org:8443 or [2001:db8::1]:8000")
    host = match["address"] or f"{'*.' if match['wildcard'] else ''}{match['name']}"
    for number in _DEFAULT_PORTS if port is None else (port,):
        yield normalize_host_port(host, number)


def normalize_host_port(host: str, port: int) -> str:
    """Return ``host:port`` for comparison: in lower case, with an IPv6 address in its shortest form."""
    host = host.lower().removesuffix(".")
    with suppress(ValueError):  # a name, or an address with a zone, as in fe80::1%eth0
        host = str(ipaddress.IPv6Address(host))
    return f"{host}:{port}"


def is_allowed(host: str, port: int, *, allowed: Iterable[str]) -> bool:
    """Return whether a host is allowed, by its own name or by a wildcard."""
    wanted = normalize_host_port(host, port)
    return any(wanted == one or (one.startswith("*.") and wanted.endswith(one[1:])) for one in allowed)
