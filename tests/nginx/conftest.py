"""Fixtures: the real image, hardened as in compose.yaml, with a real tree."""

import secrets
from collections.abc import Iterator

import httpx2
import pytest

from nginx.containers import LOGS, REPOSITORY, Container, connect, docker, mirror
from nginx.tree import Tree, plant


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """Return the name of nginx's image, built from this checkout."""
    name = f"pypi-mirror-nginx-test:{secrets.token_hex(4)}"
    docker("build", "--quiet", "--file", str(REPOSITORY / "nginx/Dockerfile"), "--tag", name, str(REPOSITORY))
    yield name
    docker("rmi", name)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return the document root."""
    return plant(tmp_path_factory.mktemp("mirror"))


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """Return the id of a network like compose's ``front``: it publishes ports and lets nothing out."""
    masquerade = "com.docker.network.bridge.enable_ip_masquerade=false"
    network = docker("network", "create", "--opt", masquerade, f"pypi-mirror-nginx-test-{secrets.token_hex(4)}")
    yield network
    docker("network", "rm", network)


@pytest.fixture(scope="session")
def nginx(image: str, tree: Tree, network: str) -> Iterator[Container]:
    """Return a mirror that most tests share."""
    with mirror(image, tree.root, LOGS, f"--network={network}", "--dns=127.0.0.1") as container:
        yield container


@pytest.fixture(scope="session")
def client(nginx: Container) -> Iterator[httpx2.Client]:
    """Return a client of the shared mirror."""
    with connect(nginx) as client:
        yield client
