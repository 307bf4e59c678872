"""A mirror and a user's machine on one network that leads nowhere else."""

import json
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trustme

from nginx.containers import LOGS, Container, docker, mirror, started

# The name that the documentation uses, so that its snippets run as they stand.
HOST = "mirror.example"
# Where docs/clients.md has the certificate of the operator's own authority.
AUTHORITY = "/etc/ssl/mirror-ca.pem"
PATH = "/opt/bin:/opt/pip/bin:/usr/bin:/bin"  # as in the Dockerfile


@dataclass(frozen=True)
class Client:
    """A user's machine: a container with all the tools, and a fresh home for each test."""

    container: Container
    home: str = field(default_factory=lambda: f"/tmp/{secrets.token_hex(4)}")

    def run(self, script: str, *, status: int = 0, environment: Mapping[str, str] | None = None) -> str:
        """Run a shell script that must end with this status, and return its output on both streams."""
        # Only a test's own settings: a base image may have settings for pip, uv and their certificates.
        variables = {"HOME": self.home, "PATH": PATH, "LANG": "C.UTF-8", **(environment or {})}
        settings = [f"{name}={value}" for name, value in variables.items()]
        inside = f'mkdir -p "$HOME" && cd "$HOME"\n{script}'
        return docker("exec", self.container.id, "env", "-i", *settings, "bash", "-euc", inside, status=status)

    def write(self, path: str, content: str) -> None:
        """Write a file below the home."""
        self.run(f"mkdir -p $(dirname {shlex.quote(path)}) && printf %s {shlex.quote(content)} > {shlex.quote(path)}")

    def installed(self, directory: str) -> dict[str, str]:
        """Return the versions of the packages in a directory below the home."""
        listed: dict[str, str] = json.loads(self.run(f"python3 -c {shlex.quote(_INSTALLED)} {shlex.quote(directory)}"))
        return listed

    def start(self, command: str, *, port: int) -> None:
        """Start a server in the background, and wait until it listens on a port of the machine's loopback."""
        self.run(f"({command}) > server.log 2>&1 &")
        listens = f"(: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null"
        self.run(f"for _ in $(seq 900); do {listens} && exit 0; sleep 0.1; done; cat server.log; exit 1")


@dataclass(frozen=True)
class Lab:
    """A mirror, a user's machine, and the mirror's access log."""

    mirror: Container
    client: Client

    def renewed(self) -> "Lab":
        """Return the same lab with a fresh home."""
        return replace(self, client=Client(self.client.container))

    def asked(self, route: str) -> list[tuple[str, str]]:
        """Return path and status of each request so far for a route of the access log: page, package or json."""
        lines = self.mirror.run("sh", "-c", "cat /logs/*.jsonl 2>/dev/null || true").splitlines()
        requests = [json.loads(line) for line in lines]
        return [(request["uri"], request["status"]) for request in requests if request["route"] == route]


@contextmanager
def lab(
    nginx_image: str, clients_image: str, data: Path, *options: str, mounted: tuple[str, ...] = ()
) -> Iterator[Lab]:
    """
    Serve a tree as mirror.example to one user's machine, which resolves and reaches no other name.

    Args:
        options: Docker's, for the mirror's container.
        mounted: Docker's, for the user's machine.
    """
    # Not an internal network: the host waits for the mirror by a published port.
    masquerade = "com.docker.network.bridge.enable_ip_masquerade=false"
    network = docker("network", "create", "--opt", masquerade, f"pypi-mirror-test-clients-{secrets.token_hex(4)}")
    where = (f"--network={network}", "--dns=127.0.0.1")
    try:
        with (
            mirror(nginx_image, data, LOGS, *where, f"--network-alias={HOST}", *options) as container,
            started(clients_image, "--init", *where, *mounted) as user,
        ):
            yield Lab(container, Client(user))
    finally:
        docker("network", "rm", network)


def certify(directory: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Issue a certificate to the mirror; return Docker's options for it, and those for a machine that trusts it."""
    readable(directory)
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    files = {
        "tls/fullchain.pem": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        "tls/privkey.pem": certificate.private_key_pem.bytes(),
        "ca.pem": authority.cert_pem.bytes(),
    }
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o644)
    knobs = ("--env=MIRROR_TLS_DIR=/etc/mirror/tls", "--env=MIRROR_TLS_PORT=8443")
    return (*knobs, f"--volume={directory}/tls:/etc/nginx/tls:ro"), (f"--volume={directory}/ca.pem:{AUTHORITY}:ro",)


def readable(directory: Path) -> None:
    """Give nginx's user access to a temporary directory of pytest."""
    for path in (directory, *directory.parents[:2]):
        path.chmod(0o755)


_INSTALLED = """
import importlib.metadata, json, sys
print(json.dumps({d.name.lower(): d.version for d in importlib.metadata.distributions(path=[sys.argv[1]])}))
"""
