"""Where the private API listens, and who may reach it there."""

import os
import socket
import stat
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector, web

from mirror_syncer.config.listen import TcpPort, UnixSocket, parse_listen
from mirror_syncer.errors import MirrorError
from mirror_syncer.service.listener import bound_socket
from mirror_syncer.service.process import _serving


def knock(path: Path) -> None:
    """Connect, as a client does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def bound(path: Path) -> AbstractContextManager[socket.socket]:
    """Bind a Unix socket there."""
    return bound_socket(UnixSocket(path))


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize("text", ["0.0.0.0:8090", "[::]:8090", ":8090", "10.1.2.3:8090", "mirror.example:8090"])
def test_address_that_other_hosts_reach_is_refused(text: str) -> None:
    """An API without a credential listens on no network: the refusal names what is possible."""
    with pytest.raises(ValueError, match=r"this host alone.* unix:/run/pypi-mirror/syncer.sock or 127.0.0.1:8090"):
        parse_listen(text)


@pytest.mark.parametrize("text", ["127.0.0.1:8090", "127.3.2.1:0", "[::1]:8090", "localhost:1", "unix:/run/x/y.sock"])
def test_address_is_printed_as_it_is_written(text: str) -> None:
    """A socket's path, or an address of the loopback, is taken as it stands."""
    assert str(parse_listen(text)) == text


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_socket_is_its_owners_alone(tmp_path: Path, mask: int) -> None:
    """Whatever the umask, the socket's mode is 0600; when the service ends it is gone."""
    path = tmp_path / "syncer.sock"
    before = os.umask(mask)
    try:
        with bound(path) as listener:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            listener.listen()
            knock(path)
    finally:
        os.umask(before)
    assert not path.exists()


@pytest.mark.proves("reliability/crash")
def test_socket_of_a_killed_syncer_is_replaced(tmp_path: Path) -> None:
    """A socket that nobody answers any more, which a kill leaves behind, does not stop the next start."""
    path = tmp_path / "syncer.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert stat.S_ISSOCK(path.stat().st_mode)
    with bound(path) as listener:
        listener.listen()
        knock(path)


@pytest.mark.proves("reliability/crash")
def test_socket_of_a_living_syncer_stays(tmp_path: Path) -> None:
    """Where another syncer answers, a second one refuses to start, and takes nothing from the first."""
    path = tmp_path / "syncer.sock"
    with bound(path) as first:
        first.listen()
        with pytest.raises(MirrorError, match="another syncer listens there"), bound(path):
            pass
        knock(path)


def test_file_in_the_sockets_place_stays(tmp_path: Path) -> None:
    """A file, or a link to one, that is no socket is never removed."""
    file, link = tmp_path / "precious", tmp_path / "link"
    file.write_text("precious")
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(MirrorError, match="not a socket"), bound(path):
            pass
    assert file.read_text() == "precious"
    assert link.is_symlink()


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A directory that is missing, or a port that is taken, is told with the setting's name, in a line."""
    with pytest.raises(MirrorError, match=r"^MIRROR_LISTEN=unix:/.*: No such file or directory$"):
        bound(tmp_path / "nowhere" / "x.sock").__enter__()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = TcpPort("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(MirrorError, match=f"^MIRROR_LISTEN={where}: Address already in use$"):
            bound_socket(where).__enter__()


async def test_request_for_a_hundred_long_names_is_taken(tmp_path: Path) -> None:
    """A hundred names as long as anybody can invent, on control's page of misses, are one request."""

    async def count(request: web.Request) -> web.Response:
        return web.Response(text=str(len(request.query.getall("name"))))

    application = web.Application()
    application.router.add_get("/projects", count)
    path, query = tmp_path / "syncer.sock", "&".join(["name=" + "x" * 250] * 100)
    async with (
        _serving(application, UnixSocket(path)),
        ClientSession(connector=UnixConnector(str(path))) as http,
        http.get(f"http://syncer/projects?{query}") as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "100")
