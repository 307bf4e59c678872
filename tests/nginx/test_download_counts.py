"""nginx's access log and control's counts, with the real programs and their failures."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control.server.test_control_process import CONTROL
from mirror_control.client.download_schemas import DownloadFilter, Downloads
from mirror_control.downloads.statistics import Statistics
from mirror_control.downloads.tally import Tally
from nginx.containers import Container, connect, mirror
from nginx.tree import Tree

pytestmark = pytest.mark.docker

FILE = "pypi/web/packages/ab/counted-1.0.tar.gz"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return a directory that nginx can write its log to, and control remove it from."""
    logs = tmp_path / "logs"
    logs.mkdir()
    logs.chmod(0o777)
    return logs


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return control's state directory."""
    state = tmp_path / "state"
    state.mkdir()
    return state


@pytest.fixture
def serving(image: str, tree: Tree, network: str, logs: Path) -> Iterator[Container]:
    """Return an nginx whose log control can reach."""
    tree.write(FILE, b"content")
    with mirror(image, tree.root, f"--volume={logs}:/logs", f"--network={network}", "--dns=127.0.0.1") as container:
        yield container


@contextmanager
def control(logs: Path, state: Path, *, end: signal.Signals) -> Iterator[None]:
    """Run control for a while, and end it so."""
    environment = {
        "PATH": os.environ["PATH"],
        "MIRROR_CONTROL_STATE": str(state),
        "MIRROR_CONTROL_LISTEN": "127.0.0.1:0",
        "MIRROR_SYNCER_URL": "http://127.0.0.1:1",
        "MIRROR_ACCESS_LOG": str(logs),
    }
    process = subprocess.Popen([CONTROL], env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(end)
        process.wait(timeout=20)


async def counted(state: Path) -> Downloads:
    """Return what the API would say of the file's project."""
    return await Statistics(state / "downloads.db").get_downloads(DownloadFilter(project="counted"))


async def until_counted(state: Path, number: int) -> Downloads:
    """Return what was counted once it is so much, or more."""
    deadline = time.monotonic() + 30
    while (found := await counted(state)).downloads < number:
        assert time.monotonic() < deadline, f"{found.downloads} of {number}"
        await asyncio.sleep(0.02)
    return found


async def test_each_download_counts_once(serving: Container, logs: Path, state: Path) -> None:
    """Each answered download counts once, although control is killed, restarted under load, and stopped for a while."""
    stop, answered = threading.Event(), 0

    def load() -> None:
        nonlocal answered
        with connect(serving) as client:
            while not stop.is_set():
                assert client.get("/packages/ab/counted-1.0.tar.gz", headers={"User-Agent": "uv/0.9.2"}).is_success
                answered += 1

    loader = threading.Thread(target=load)
    loader.start()
    try:
        for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            with control(logs, state, end=end):
                await until_counted(state, answered + 1)
        away = answered
        while answered < away + 200:
            assert loader.is_alive()
            await asyncio.sleep(0.01)
    finally:
        stop.set()
        loader.join()
    assert (await counted(state)).downloads < answered
    with control(logs, state, end=signal.SIGTERM):
        await until_counted(state, answered)
        await asyncio.sleep(2.5)  # it looks each second, and must find nothing more
    found = await counted(state)

    assert found.downloads == answered
    assert found.versions is not None
    assert [share.name for share in found.versions] == ["1.0"]
    assert [(client.name, client.version) for client in found.clients] == [("uv", "0.9.2")]


def test_resumed_download_counts_once(serving: Container, logs: Path) -> None:
    """A download in two ranges counts once; HEAD and 304 do not count; a 404 is a miss."""
    path = "/packages/ab/counted-1.0.tar.gz"
    with connect(serving) as client:
        etag = client.head(path).headers["etag"]
        client.get(path, headers={"Range": "bytes=0-2"})
        client.get(path, headers={"Range": "bytes=3-", "If-Range": etag})
        assert client.get(path, headers={"If-None-Match": etag}).status_code == 304
        client.get("/simple/In_House/", follow_redirects=True)
        client.get(path, headers=[(b"User-Agent", b'pip/25.1 \xff\xfe\x01"\\')])
        lines = [line for file in sorted(logs.iterdir()) for line in file.read_bytes().splitlines()]
    tally = Tally.of(lines)

    assert tally.downloads.total() == 2
    assert {miss[1:]: count for miss, count in tally.misses.items()} == {("in-house", "page"): 1}
    assert tally.metrics.unreadable == 0
    assert {download.client_version for download in tally.downloads} == {"", "25.1"}


# As pip sends it.
PIP = (
    'pip/26.3 {"ci":null,"cpu":"x86_64","distro":{"id":"trixie","libc":{"lib":"glibc","version":"2.41"},'
    '"name":"Debian GNU/Linux","version":"13"},"implementation":{"name":"CPython","version":"3.13.5"},'
    '"installer":{"name":"pip","version":"26.3"},"python":"3.13.5","system":{"name":"Linux"}}'
)


@pytest.mark.parametrize(
    ("agent", "python"),
    [
        (PIP, "3.13"),
        ('uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9"},"python":"3.12.1","ci":true}', "3.12"),
        ("poetry/2.5.1 CPython/3.11.2 Linux/6.1", "3.11"),
        ("bandersnatch/8.2.0 (CPython 3.13.5, aiohttp 3.14)", "3.13"),
        ("pdm/2.29.0 unearth/0.18", ""),
        ('x "python":"3.999"', ""),
    ],
)
def test_python_of_the_client_is_logged(serving: Container, logs: Path, agent: str, python: str) -> None:
    """nginx logs the Python that a client names, also if that comes behind what it logs of the user agent."""
    with connect(serving) as client:
        client.get("/packages/ab/counted-1.0.tar.gz", headers={"User-Agent": agent})
        lines = [line for file in sorted(logs.iterdir()) for line in file.read_bytes().splitlines()]

    assert {share.python for share in Tally.of(lines).pythons} == {python}


def test_full_log_volume_does_not_affect_answers(image: str, tree: Tree, network: str) -> None:
    """If the log volume is full, nginx serves as usual."""
    tree.write(FILE, b"content")
    options = ("--tmpfs=/logs:uid=10002,gid=10001,mode=0770,size=8k", f"--network={network}", "--dns=127.0.0.1")
    with mirror(image, tree.root, *options) as container, connect(container) as client:
        answers = [client.get("/packages/ab/counted-1.0.tar.gz") for _ in range(200)]

        assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"content")}
        assert "while logging request" in container.logs, "else it was not full"
