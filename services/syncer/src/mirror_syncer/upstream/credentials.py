"""User and password for the upstream: sent to its own origin, and shown to nobody."""

import ipaddress
import netrc
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

from mirror_syncer.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}


class Credentials:
    """
    What one origin wants to hear from us (RFC 7617). What is printed of it is the origin alone.

    Args:
        url: any URL of that origin: a scheme, a host and a port.
    """

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self._origin = _origin(url)
        self._header = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"

    def __repr__(self) -> str:
        return f"Credentials({':'.join(map(str, self._origin))})"

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers that a request for a URL needs: none, unless it goes to this very origin."""
        return {"Authorization": self._header} if _origin(url) == self._origin else {}

    @property
    def in_clear(self) -> bool:
        """Whether whoever is on the way can read them."""
        scheme, host, _ = self._origin
        return scheme != "https" and not _is_loopback(host)


def read_credentials(path: Path | None, *, upstream: str) -> Credentials | None:
    """
    Read what a netrc has for the upstream's host: its own entry, or ``default``. None where there is no netrc.

    Raises:
        ConfigurationError: it cannot be read or understood, or has nothing for this host. What is in it is not told.
    """
    if path is None:
        return None
    host = urlsplit(upstream).hostname or ""
    try:
        hosts = {name.lower(): entry for name, entry in netrc.netrc(str(path)).hosts.items()}
    except netrc.NetrcParseError as error:
        # Not its own words: they quote what it stumbled over, which may be the password.
        raise _problem(f"{path} is no netrc from line {error.lineno} on") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _problem(f"{path} cannot be read ({type(error).__name__}); it must be a text file of ours") from None
    entry = hosts.get(host) or hosts.get("default")
    if entry is None:
        raise _problem(f"{path} has nothing for {host}; add: machine {host} login <user> password <password>")
    user, _, password = entry
    if not user or not password or ":" in user:
        raise _problem(f"{path} has for {host} a login or a password that is empty, or a login with a ':'")
    return Credentials(upstream, user=user, password=password)


def _problem(text: str) -> ConfigurationError:
    return ConfigurationError(".env", [f"MIRROR_UPSTREAM_NETRC: {text}"])


def _origin(url: str) -> tuple[str, str, int]:
    # RFC 6454: scheme, host and port
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
