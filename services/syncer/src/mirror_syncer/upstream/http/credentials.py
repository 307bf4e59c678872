"""User names and passwords for the upstream and its proxy; each server receives only its own, and none is logged."""

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
    A netrc file, reread after each change, so that a password can be replaced without a restart.

    Its representation shows only the upstream's origin.

    Args:
        path: the netrc file.
        upstream: any URL of the upstream's origin (scheme, host and port).

    Raises:
        ConfigurationError: the file is unreadable, invalid, or has no matching entry. The message quotes none of it.
    """

    def __init__(self, path: Path, *, upstream: str) -> None:
        self._path = path
        self._origin = _origin(upstream)
        self._version = self._file_version()
        self._upstream_login, self._proxies = self._read()

    def __repr__(self) -> str:
        return f"Credentials({':'.join(map(str, self._origin))})"

    def headers(self, url: str) -> dict[str, str]:
        """Return the login headers for a URL: none unless it has the upstream's origin."""
        if _origin(url) != self._origin:
            return {}
        self._refresh()
        if self._upstream_login is None:
            return {}
        return {"Authorization": f"Basic {b64encode(':'.join(self._upstream_login).encode()).decode()}"}  # RFC 7617

    def proxy_login(self, host: str) -> _Login | None:
        """Return the login of a proxy's own entry; ``default`` applies to the upstream only."""
        self._refresh()
        return self._proxies.get(host)

    @property
    def sent_in_clear(self) -> bool:
        """Whether the upstream's password travels unencrypted over a network."""
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
            # An editor may be halfway through writing it: keep the last valid content.
            log.warning("netrc unusable; keeping the previous one", problem="; ".join(error.problems))

    def _file_version(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> tuple[_Login | None, dict[str, _Login]]:
        """Return the login for the upstream (its own entry or ``default``) and the one for each proxy."""
        _, upstream, _ = self._origin
        try:
            with memory_file(self._path.read_bytes().removeprefix(codecs.BOM_UTF8)) as without_bom:
                entries = {name.lower(): entry for name, entry in netrc.netrc(str(without_bom)).hosts.items()}
        except netrc.NetrcParseError as error:
            # Do not repeat the parser's message: it quotes the text it failed on, which may be the password.
            raise _problem(f"{self._path}: line {error.lineno} is not valid netrc syntax") from None
        except (OSError, UnicodeDecodeError) as error:
            raise _problem(
                f"{self._path} cannot be read ({type(error).__name__}); it must be a text file readable by the syncer"
            ) from None
        own = self._login(upstream, entries.get(upstream) or entries.get("default"))
        proxies = {host: login for host in proxy_hosts() if (login := self._login(host, entries.get(host)))}
        if own is None and not proxies:
            raise _problem(
                f"{self._path} has no entry for {upstream}; add: machine {upstream} login <user> password <password>"
            )
        return own, proxies

    def _login(self, host: str, entry: tuple[str, str, str] | None) -> _Login | None:
        if entry is None:
            return None
        user, _, password = entry
        if not user or not password or ":" in user:
            raise _problem(f"{self._path}: the entry for {host} needs a login without ':' and a password")
        return user, password


def read_credentials(path: Path | None, *, upstream: str) -> Credentials | None:
    """
    Read a netrc file; return None if no path is configured.

    Raises:
        ConfigurationError: as in ``Credentials``.
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
