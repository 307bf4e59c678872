"""Where the private API listens: a Unix socket, or a TCP port of the loopback. Neither asks for a credential."""

import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

SCHEME = "unix:"
_EXAMPLES = "unix:/run/pypi-mirror/syncer.sock or 127.0.0.1:8090"
# The kernel's sun_path holds 108 bytes, the last of them a null.
_MAX_PATH_BYTES = 107
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A socket in the file system, which its owner alone may use."""

    path: Path

    def __str__(self) -> str:
        return f"{SCHEME}{self.path}"


@dataclass(frozen=True, slots=True)
class TcpPort:
    """A port of this host alone: every user of the host may use it, and nobody else."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Listen = UnixSocket | TcpPort


def parse_listen(text: str) -> Listen:
    """
    Parse ``unix:/path`` or ``host:port``.

    Raises:
        ValueError: it is neither, or an address that other hosts can reach.
    """
    if text.startswith(SCHEME):
        path = Path(text.removeprefix(SCHEME))
        if not path.is_absolute() or path.name in ("", "..") or "\0" in text:
            raise ValueError(f"an absolute path after {SCHEME}, as in {SCHEME}/run/pypi-mirror/syncer.sock")
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            raise ValueError(f"a socket's path has at most {_MAX_PATH_BYTES} bytes; choose a shorter one")
        return UnixSocket(path)
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ValueError(f"a socket's path or an address and a port, as in {_EXAMPLES}")
    host = host.removeprefix("[").removesuffix("]")
    if not _is_loopback(host):
        raise ValueError(f"the private API asks for no credential, so this host alone may reach it: {_EXAMPLES}")
    return TcpPort(host, int(port))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
