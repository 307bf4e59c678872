"""The proxy for a URL, as HTTPS_PROXY, HTTP_PROXY and NO_PROXY configure it."""

import ipaddress
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

# Supported by libcurl.
_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})
_URL_SCHEMES = ("https", "http")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    A proxy. Its URL, which libcurl quotes in errors, and its representation contain no password.

    Attributes:
        url: its URL without user and password.
        login: user and password, if the variable contains them.
    """

    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, value: str) -> Self:
        """
        Parse the value of a variable; the default scheme is http.

        Raises:
            ValueError: it is not the URL of a proxy. The message does not quote it, because it may hold a password.
        """
        try:
            parts = urlsplit(value if "://" in value else f"http://{value}")
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in _SCHEMES or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(
                "not a proxy URL such as http://proxy.example.org:3128; in a user or a password, "
                "write / as %2F, ? as %3F, # as %23 and @ as %40"
            )
        login = None
        if parts.username is not None:
            login = (unquote(parts.username), unquote(parts.password or ""))
        return cls(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", login)

    @property
    def host(self) -> str:
        """Its host, in lower case."""
        return urlsplit(self.url).hostname or ""


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL, or None for a direct connection."""
    parts = urlsplit(url)
    value = getproxies().get(parts.scheme, "")
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return Proxy.parse(value) if value and not _bypasses_proxy(parts.hostname or "", port) else None


def _bypasses_proxy(host: str, port: int) -> bool:
    """Return whether NO_PROXY names a host, in any form that Docker, Kubernetes or curl documents."""
    host = host.removesuffix(".")
    return any(_entry_matches(entry, host, port) for entry in getproxies().get("no", "").replace(",", " ").split())


def _entry_matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    with suppress(ValueError):  # networks: 10.0.0.0/8, and addresses with or without brackets
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        return _in_network(host, network)
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit():
        return int(number) == port and _entry_matches(name, host, port)
    domain = entry.lower().removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _in_network(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False


def proxy_hosts() -> set[str]:
    """Return the hosts of all configured proxies."""
    return {Proxy.parse(value).host for value in _read_variables().values()}


def list_proxy_problems() -> list[str]:
    """Return a message for each variable that is not a valid proxy URL."""
    problems = []
    for scheme, value in _read_variables().items():
        try:
            Proxy.parse(value)
        except ValueError as error:
            problems.append(f"{scheme.upper()}_PROXY: {error}")
    return problems


def list_exposed_passwords() -> list[str]:
    """Return the variables that hold a password, readable by anyone who may inspect the container."""
    return [f"{scheme.upper()}_PROXY" for scheme, value in _read_variables().items() if Proxy.parse(value).login]


def _read_variables() -> dict[str, str]:
    proxies = getproxies()
    return {scheme: proxies[scheme] for scheme in _URL_SCHEMES if proxies.get(scheme)}
