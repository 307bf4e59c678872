"""Docker containers that are removed, by their id, at the end of a test."""

import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx2

REPOSITORY = Path(__file__).parents[2]

# As compose.yaml runs it.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
CACHE = "--tmpfs=/cache:uid=10002,gid=10001,mode=0700,size=2g"
LOGS = "--tmpfs=/logs:uid=10002,gid=10001,mode=0770,size=4m"


def docker(*arguments: str, status: int = 0) -> str:
    """Run one docker command that ends with the status, and return what it printed on either stream."""
    done = subprocess.run(
        ("docker", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False
    )
    assert done.returncode == status, f"docker {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Container:
    """A container that runs, or ran."""

    id: str

    @property
    def address(self) -> tuple[str, int]:
        """Where the host reaches its port 8080."""
        return self.published(8080)

    def published(self, port: int) -> tuple[str, int]:
        """Return where the host reaches a port of it."""
        host, _, there = docker("port", self.id, f"{port}/tcp").partition(":")
        return host, int(there)

    @property
    def inside(self) -> tuple[str, int]:
        """Where a Linux host reaches its port 8080 without Docker's proxy, which has limits of its own."""
        return self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"), 8080

    @property
    def logs(self) -> str:
        """What it wrote on both streams."""
        return docker("logs", self.id)

    def inspect(self, template: str) -> str:
        """Return a property of it, by Go template."""
        return docker("inspect", "--format", template, self.id)

    def run(self, *command: str) -> str:
        """Run a command inside it."""
        return docker("exec", self.id, *command)

    def wait_until_healthy(self) -> None:
        """Return when it answers; fail with its logs if that takes 60 s."""
        host, port = self.address
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            connection = HTTPConnection(host, port, timeout=1)
            try:
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()
        raise AssertionError(f"nginx does not answer:\n{self.logs}")


@contextmanager
def started(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """Start a container, and remove it at the end, whatever became of it."""
    # The id is the last line: before it Docker warns of --dns on the loopback, which is meant.
    container = Container(docker("create", *options, image, *command).splitlines()[-1])
    try:
        docker("start", container.id)
        yield container
    finally:
        docker("rm", "--force", "--volumes", container.id)


def run_to_end(image: str, *options: str, command: tuple[str, ...] = (), status: int = 0) -> str:
    """
    Run a container that ends with the status, and return what it printed on either stream.

    An attached ``docker run`` may print nothing of a container that ends at once, on a busy machine.
    """
    with started(image, *options, command=command) as container:
        ended = docker("wait", container.id)
        assert ended == str(status), f"exit {ended}\n{container.logs}"
        return container.logs


@contextmanager
def mirror(image: str, tree: Path, *options: str) -> Iterator[Container]:
    """Serve a tree as compose.yaml does, on a free port of the loopback."""
    volume = f"--volume={tree}:/srv/mirror:ro"
    with started(image, *HARDENED, volume, "--publish=127.0.0.1::8080", *options) as container:
        container.wait_until_healthy()
        yield container


# An edge reads the list of changes twice a minute.
OFTEN = f"--volume={Path(__file__).parent}/refresh.conf:/etc/nginx/edge/refresh.conf:ro"


@contextmanager
def edge(
    image: str, origins: Iterable[tuple[str, int]], *options: str, cache: str | None = CACHE
) -> Iterator[Container]:
    """Run an edge before origins as compose.edge.yaml does, on a free port; it reads the list every 0.2 s."""
    urls = " ".join(f"http://{host}:{port}" for host, port in origins)
    settings = [OFTEN, *([cache] if cache else []), *([f"--env=MIRROR_ORIGINS={urls}"] if urls else [])]
    with started(image, *HARDENED, *settings, "--publish=127.0.0.1::8080", *options) as container:
        container.wait_until_healthy()
        yield container


def connect(container: Container) -> httpx2.Client:
    """Return a client that adds no header of its own, follows no redirect and takes no proxy."""
    host, port = container.address
    client = httpx2.Client(base_url=f"http://{host}:{port}", trust_env=False, timeout=5)
    for name in ("accept", "accept-encoding", "user-agent"):
        del client.headers[name]
    return client


def await_absence(client: httpx2.Client, url: str) -> None:
    """Return when each worker that answers a few requests in a row says 404; fail if that takes 5 s."""
    deadline = time.monotonic() + 5
    absent = 0
    while absent < 20:
        assert time.monotonic() < deadline, f"{url} is still served"
        absent = absent + 1 if client.get(url, headers={"Connection": "close"}).status_code == 404 else 0


def exchange(container: Container, sent: bytes) -> bytes:
    """Send bytes as they are, which no client would, and return all that comes until the other side closes."""
    with socket.create_connection(container.address, timeout=15) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))
