"""The socket of the private API, bound where ``MIRROR_LISTEN`` says."""

import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror_syncer.config.listen import SCHEME, Listen, TcpPort, UnixSocket
from mirror_syncer.errors import MirrorError


@contextmanager
def bound_socket(where: Listen) -> Iterator[socket.socket]:
    """
    Yield a bound socket; a Unix socket's file is removed when the block ends.

    Raises:
        MirrorError: another program listens there, or the path cannot be used.
    """
    try:
        bound = _bind_unix(where.path) if isinstance(where, UnixSocket) else _bind_tcp(where)
    except OSError as error:
        raise MirrorError(f"MIRROR_LISTEN={where}: {error.strerror or error}") from error
    try:
        yield bound
    finally:
        if isinstance(where, UnixSocket):
            where.path.unlink(missing_ok=True)
        bound.close()


def _bind_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        # Before anybody can connect, since it does not listen yet; chmod ignores the umask.
        path.chmod(0o600)
    except BaseException:
        bound.close()
        raise
    return bound


def _bind_tcp(where: TcpPort) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((where.host, where.port))
    except BaseException:
        bound.close()
        raise
    return bound


def _remove_stale(path: Path) -> None:
    """
    Remove the socket file that a killed syncer left.

    Raises:
        MirrorError: the file is not a socket, or another program listens on it.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise MirrorError(f"MIRROR_LISTEN={SCHEME}{path}: this file is not a socket; remove it or choose another path")
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(1)
        try:
            knock.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise MirrorError(f"MIRROR_LISTEN={SCHEME}{path}: another syncer listens there; stop it or choose another path")
