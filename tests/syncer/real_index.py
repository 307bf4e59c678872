"""Released versions of other index servers, with a few packages of ours, and of bandersnatch."""

import base64
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import httpx2

# As of November 2026. Each has its own environment, which stays below build/ until a pin changes.
PINS = {
    "devpi": ("devpi-server==6.20.0",),
    "pypiserver": ("pypiserver==2.4.2",),
    "proxpi": ("proxpi==1.3.1", "gunicorn==27.0.1"),
    # The newest that the Python at hand runs; from 8.0 on, which needs 3.12, it mirrors metadata too.
    "bandersnatch": ("bandersnatch==8.2.0" if sys.version_info >= (3, 12) else "bandersnatch==6.8.0",),
}
_BUILD = Path(__file__).parents[2] / "build"
_START_SECONDS = 60


def environment_of(name: str) -> Path:
    """
    Return the directory of a project's programs; install them from PyPI if they are missing.

    Tests in several processes may want it at once: one installs it, the others wait.
    """
    pins = PINS[name]
    place = _BUILD / f"index-{name}-{hashlib.sha256(repr((pins, sys.version)).encode()).hexdigest()[:12]}"
    marker = place / "installed"
    _BUILD.mkdir(exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
            pip: list[str | Path] = [place / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *pins], check=True)
            marker.touch()
    return place / "bin"


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def running(command: list[str | Path], *, url: str, log: Path, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a server until the block ends; it answers when the block begins."""
    # They run on this host, and must not use its proxy.
    inherited = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env={**inherited, **(env or {})}, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _await_answer(url, server, log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _await_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a server's first answer; there is no event to wait for."""
    latest = time.monotonic() + _START_SECONDS
    while True:
        try:
            urlopen(Request(url, headers={"Accept": "text/html"}), timeout=5).close()
        except HTTPError:
            return
        except (URLError, ConnectionError, TimeoutError):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < latest, log.read_text()
            time.sleep(0.1)
        else:
            return


@contextmanager
def pypiserver(packages: Path, *, hash_algo: str) -> Iterator[str]:
    """Serve a directory of packages by pypiserver; yield its URL as pip takes it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/simple/"
    program = environment_of("pypiserver") / "pypi-server"
    options: list[str | Path] = ["run", "-i", "127.0.0.1", "-p", str(port), "--disable-fallback"]
    with running([program, *options, "--hash-algo", hash_algo, packages], url=url, log=packages / ".log"):
        yield url


@contextmanager
def proxpi(index_url: str, directory: Path) -> Iterator[str]:
    """Run proxpi before another index; yield its URL as pip takes it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/index/"
    gunicorn = environment_of("proxpi") / "gunicorn"
    command: list[str | Path] = [gunicorn, "--bind", f"127.0.0.1:{port}", "--threads", "2", "proxpi.server:app"]
    settings = {"PROXPI_INDEX_URL": index_url, "PROXPI_CACHE_DIR": str(directory)}
    with running(command, url=f"http://127.0.0.1:{port}/health", log=directory / "log", env=settings):
        yield url


@contextmanager
def devpi(directory: Path, packages: list[Path]) -> Iterator[str]:
    """Run devpi with an index of these packages; yield its URL as pip takes it."""
    port = free_port()
    root = f"http://127.0.0.1:{port}"
    programs = environment_of("devpi")
    served = directory / "server"
    subprocess.run([programs / "devpi-init", "--serverdir", served, "--no-root-pypi"], check=True, capture_output=True)
    command: list[str | Path] = [programs / "devpi-server", "--serverdir", served, "--host", "127.0.0.1"]
    with running([*command, "--port", str(port)], url=f"{root}/+api", log=directory / "log"):
        with httpx2.Client(base_url=root, trust_env=False, timeout=30) as client:
            client.put("/team", json={"password": "opensesame"}).raise_for_status()
            login = client.post("/+login", json={"user": "team", "password": "opensesame"}).json()["result"]["password"]
            client.auth = ("team", login)
            headers = {"X-Devpi-Auth": _devpi_auth(login)}
            client.put("/team/dev", json={"bases": []}, headers=headers).raise_for_status()
            for package in packages:
                name, _, rest = package.name.removesuffix(".tar.gz").rpartition("-")
                client.post(
                    "/team/dev/",
                    data={":action": "file_upload", "name": name, "version": rest, "filetype": "sdist"},
                    files={"content": (package.name, package.read_bytes())},
                    headers=headers,
                ).raise_for_status()
        yield f"{root}/team/dev/+simple/"


def _devpi_auth(login: str) -> str:
    return base64.b64encode(f"team:{login}".encode()).decode()
