"""Fixtures: the real image, hardened as in compose.yaml, with a real tree."""

import secrets
from collections.abc import Iterator

import httpx2
import pytest

import radosgw
from nginx.bucket import before_bucket
from nginx.containers import LOGS, REPOSITORY, Container, connect, docker, edge, mirror
from nginx.edges import Origin
from nginx.edges import origin as own_origin
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    Run a module's tests against an origin and, if it says ``THROUGH_AN_EDGE``, against an edge before it.

    They run a third time, against nginx before a bucket with the same tree, if it says ``FROM_A_BUCKET``.
    """
    if "nginx" not in metafunc.fixturenames or not getattr(metafunc.module, "THROUGH_AN_EDGE", False):
        return
    kinds = ["origin"]
    if not metafunc.definition.get_closest_marker("origin_only"):
        kinds.append("edge")
        if getattr(metafunc.module, "FROM_A_BUCKET", False) and not metafunc.definition.get_closest_marker("tree_only"):
            kinds.append("bucket")
    metafunc.parametrize("nginx", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def origin(image: str, tree: Tree, network: str) -> Iterator[Container]:
    """Return a mirror that most tests share."""
    with mirror(image, tree.root, LOGS, f"--network={network}", "--dns=127.0.0.1") as container:
        yield container


@pytest.fixture(scope="session")
def shared_edge(image: str, network: str, origin: Container) -> Iterator[Container]:
    """Return an edge before that mirror."""
    with edge(image, [origin.inside], LOGS, f"--network={network}") as container:
        yield container


@pytest.fixture(scope="session")
def store(network: str) -> Iterator[radosgw.Gateway]:
    """Return an object store that nginx reaches in its network."""
    with radosgw.serve(f"--network={network}") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def shared_bucket(
    image: str, network: str, store: radosgw.Gateway, tree: Tree, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """Return nginx before a bucket that holds the tree of that mirror."""
    bucket = store.new_bucket("mirrors/main")
    bucket.upload(tree.root, "pypi")
    with before_bucket(image, bucket, tmp_path_factory.mktemp("key"), LOGS, f"--network={network}") as container:
        yield container


@pytest.fixture(scope="session")
def nginx(request: pytest.FixtureRequest) -> Container:
    """Return the shared mirror, or the edge or the bucket with its tree: a client must not notice a difference."""
    kind = getattr(request, "param", "origin")
    names = {"origin": "origin", "edge": "shared_edge", "bucket": "shared_bucket"}
    container: Container = request.getfixturevalue(names[kind])
    return container


@pytest.fixture(scope="session")
def client(nginx: Container) -> Iterator[httpx2.Client]:
    """Return a client of the shared mirror."""
    with connect(nginx) as client:
        yield client


@pytest.fixture(scope="module")
def host(image: str, network: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """Return an origin that no test stops."""
    with own_origin(image, network, tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture(scope="module")
def site(image: str, network: str, host: Origin) -> Iterator[Container]:
    """Return an edge before it."""
    with edge(image, [host.container.inside], LOGS, f"--network={network}") as container:
        yield container
