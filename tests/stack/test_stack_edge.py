"""An edge by compose.edge.yaml before the shipped stack: pip installs through it, also without its origin."""

import re
from collections.abc import Iterator

import httpx2
import pytest
import yaml

from stack.compose import REPOSITORY, Stack, run, until
from stack.fake import JSON, Upstream
from stack.mirror import Mirror
from stack.test_stack_clients import NEWEST, installed

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

PIP = ("pip", "install", "--index-url=http://nginx:8080/simple/", "--trusted-host=nginx", "--target=/tmp/edge")
FILES = (REPOSITORY / "compose.edge.yaml", REPOSITORY / "tests/stack/compose.edge.yaml")


@pytest.fixture(scope="module")
def edge(stack: Stack) -> Iterator[Stack]:
    """Return an edge before the shared stack."""
    settings = {
        # "nginx" alone would be the edge's own service.
        "MIRROR_ORIGINS": f"http://{stack.project}-nginx-1:8080",
        "TEST_ORIGIN_NETWORK": f"{stack.project}_front",
    }
    running = Stack(settings=settings, files=FILES)
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture
def browser(edge: Stack) -> Iterator[httpx2.Client]:
    """Return a client of the edge on the host."""
    with httpx2.Client(base_url=edge.url("nginx", 8080), trust_env=False, timeout=30) as client:
        yield client


def metrics(edge: Stack) -> dict[str, float]:
    """Return the edge's own metrics, as Prometheus finds them."""
    text = httpx2.get(f"{edge.url('control', 8081)}/metrics", trust_env=False, timeout=10).text
    found = re.findall(r"^pypi_mirror_(edge_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


@pytest.mark.proves("reliability/edges")
def test_pip_installs_while_the_origin_is_away(edge: Stack, stack: Stack, mirror: Mirror) -> None:
    """pip installs through an edge, and again from its cache while the edge has no way to the origin."""
    edge.execute("client", *PIP, "requests")
    assert installed(edge, "/tmp/edge") == NEWEST
    link = (f"{stack.project}_front", f"{edge.project}-nginx-1")
    run("docker", "network", "disconnect", *link)
    try:
        edge.execute("client", *PIP, "requests")
        assert installed(edge, "/tmp/edge") == NEWEST
        edge.execute("client", *PIP, "--retries=0", "filler-00001", status=1)  # nobody requested it before
    finally:
        run("docker", "network", "connect", *link)
    until(lambda: metrics(edge)['edge_answers_total{cache="hit",route="package"}'] >= len(NEWEST), seconds=10)
    assert metrics(edge)["edge_list_timestamp_seconds"] > 0


@pytest.mark.proves("security/project-owners", "reliability/edges")
def test_quarantined_file_leaves_the_edge(browser: httpx2.Client, mirror: Mirror, upstream: Upstream) -> None:
    """A file that upstream quarantines leaves the edge's cache within a minute of the origin, and its page with it."""
    client = mirror.client
    path = next(iter(mirror.files("filler-00002").values()))
    page = "/simple/filler-00002/"
    assert browser.get(path).status_code == browser.get(page, headers={"Accept": JSON}).status_code == 200
    assert browser.get(path).headers["Cache-Control"] == "max-age=365000000, immutable, public"
    upstream.do("quarantine", project="filler-00002")
    try:
        mirror.sync("filler-00002")
        until(lambda: client.get(path).status_code in (403, 404), seconds=10)
        until(lambda: browser.get(path).status_code == client.get(path).status_code, seconds=60)
        assert browser.get(path).text == client.get(path).text
        until(lambda: browser.get(page).content == client.get(page).content, seconds=60)
    finally:
        upstream.do("clear_quarantine", project="filler-00002")
        mirror.sync("filler-00002")
    assert browser.get(path).status_code == 200


@pytest.mark.proves("security/containers")
def test_edge_runs_without_privileges(edge: Stack) -> None:
    """An edge's services are as confined as the mirror's; nginx reaches no control, and control no network."""
    shipped = yaml.safe_load((REPOSITORY / "compose.edge.yaml").read_text())["services"]
    for service in ("nginx", "control"):
        told = edge.inspect(
            service, "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
        )
        assert told == "true [ALL] [no-new-privileges:true]"
        assert edge.inspect(service, "{{.Config.User}}") == {"nginx": "10002:10001", "control": "10001:10001"}[service]
    assert (shipped["nginx"]["networks"], shipped["control"]["networks"]) == (["origins"], ["metrics"])
    mounted = edge.inspect("nginx", "{{range .Mounts}}{{.Destination}} {{end}}").split()
    assert sorted(path for path in mounted if not path.startswith("/run/secrets/")) == ["/cache", "/logs"]
