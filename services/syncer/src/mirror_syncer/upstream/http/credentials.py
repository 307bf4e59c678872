"""Users and passwords for the upstream and for the proxy before it: each is told its own, and shown to nobody."""

import codecs
import ipaddress
import netrc
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from mirror_syncer.errors import ConfigurationError
from mirror_syncer.upstream.http.memory_file import memory_file
from mirror_syncer.upstream.http.proxies import proxy_hosts

log = structlog.get_logger()

_PORTS = {"http": 80, "https": 443}
_Login = tuple[str, str]


class Credentials:
    """
    A netrc, read again whenever it changed, so that a password can be replaced without a restart.

    What is printed of it is the upstream's origin alone.

    Args:
        path: where the netrc is.
        upstream: any URL of the upstream's origin: a scheme, a host and a port.

    Raises:
        ConfigurationError: it cannot be read or understood, or is of no use. What is in it is not told.
    """

    def __init__(self, path: Path, *, upstream: str) -> None:
        self._path = path
        self._origin = _origin(upstream)
        self._version = self._file_version()
        self._upstream_login, self._proxies = self._read()

    def __repr__(self) -> str:
        return f"Credentials({':'.join(map(str, self._origin))})"

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers that a request for a URL needs: none, unless it goes to the upstream's very origin."""
        if _origin(url) != self._origin:
            return {}
        self._refresh()
        if self._upstream_login is None:
            return {}
        return {"Authorization": f"Basic {b64encode(':'.join(self._upstream_login).encode()).decode()}"}  # RFC 7617

    def proxy_login(self, host: str) -> _Login | None:
        """Return what a proxy's own entry says; ``default`` is the upstream's alone."""
        self._refresh()
        return self._proxies.get(host)

    @property
    def sent_in_clear(self) -> bool:
        """Whether whoever is on the way can read the upstream's."""
        scheme, host, _ = self._origin
        return self._upstream_login is not None and scheme != "https" and not _is_loopback(host)

    def _refresh(self) -> None:
        version = self._file_version()
        if version == self._version:
            return
        self._version = version
        try:
            self._upstream_login, self._proxies = self._read()
        except ConfigurationError as error:
            # An editor may be about to write it: what was read last goes on being said.
            log.warning("netrc unusable; the one before it stays in force", problem="; ".join(error.problems))

    def _file_version(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> tuple[_Login | None, dict[str, _Login]]:
        """Return what there is for the upstream, its own entry or ``default``, and for each proxy."""
        _, upstream, _ = self._origin
        try:
            with memory_file(self._path.read_bytes().removeprefix(codecs.BOM_UTF8)) as without_bom:
                entries = {name.lower(): entry for name, entry in netrc.netrc(str(without_bom)).hosts.items()}
        except netrc.NetrcParseError as error:
            # Not its own words: they quote what it stumbled over, which may be the password.
            raise _problem(f"{self._path} is no netrc from line {error.lineno} on") from None
        except (OSError, UnicodeDecodeError) as error:
            raise _problem(
                f"{self._path} cannot be read ({type(error).__name__}); it must be a text file of ours"
            ) from None
        own = self._login(upstream, entries.get(upstream) or entries.get("default"))
        proxies = {host: login for host in proxy_hosts() if (login := self._login(host, entries.get(host)))}
        if own is None and not proxies:
            raise _problem(
                f"{self._path} has nothing for {upstream}; add: machine {upstream} login <user> password <password>"
            )
        return own, proxies

    def _login(self, host: str, entry: tuple[str, str, str] | None) -> _Login | None:
        if entry is None:
            return None
        user, _, password = entry
        if not user or not password or ":" in user:
            raise _problem(f"{self._path} has for {host} a login or a password that is empty, or a login with a ':'")
        return user, password


def read_credentials(path: Path | None, *, upstream: str) -> Credentials | None:
    """
    Read a netrc; None where there is none.

    Raises:
        ConfigurationError: as by ``Credentials``.
    """
    return None if path is None else Credentials(path, upstream=upstream)


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
