"""pip, uv and poetry install in a container that reaches only nginx."""

import json

import pytest

from stack.compose import Stack
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

# The result of `pip install requests`: the newest version of each that the fake upstream has.
NEWEST = {
    "certifi": "2025.4.26",
    "charset-normalizer": "3.4.1",
    "idna": "3.10",
    "requests": "2.32.3",
    "urllib3": "2.4.0",
}

INSTALLED = """
import importlib.metadata, json, sys
print(json.dumps({d.name: d.version for d in importlib.metadata.distributions(path=[sys.argv[1]])}))
"""

REACHABLE = """
import json, socket, sys
reached = []
for host, port in json.loads(sys.argv[1]):
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        continue
    reached.append([host, port])
print(json.dumps(reached))
"""


@pytest.fixture
def requirements(stack: Stack, upstream: Upstream) -> str:
    """Write a requirements file in the client that pins all files by upstream's hashes."""
    lines = []
    for project, version in NEWEST.items():
        hashes = [sha256 for name, sha256 in upstream.files(project).items() if f"-{version}" in name]
        lines.append(f"{project}=={version} " + " ".join(f"--hash=sha256:{sha256}" for sha256 in hashes))
    stack.execute("client", "sh", "-c", "cat > /tmp/requirements.txt", stdin="\n".join(lines))
    return "/tmp/requirements.txt"


def installed(stack: Stack, directory: str) -> dict[str, str]:
    """Return the packages in a directory of the client, and empty it."""
    found: dict[str, str] = json.loads(stack.execute("client", "python3", "-c", INSTALLED, directory))
    stack.execute("client", "rm", "-rf", directory)
    return found


@pytest.mark.parametrize("root", ["/simple/", "/pypi/web/simple"])
def test_pip_installs_upstreams_bytes(stack: Stack, mirror: Mirror, requirements: str, root: str) -> None:
    """pip installs requests and its dependencies by both index paths, and gets upstream's bytes."""
    index = (f"--index-url=http://nginx:8080{root}", "--trusted-host=nginx", "--target=/tmp/pip")
    stack.execute("client", "pip", "install", *index, "--require-hashes", "--requirement", requirements)
    assert installed(stack, "/tmp/pip") == NEWEST
    stack.execute("client", "pip", "install", *index, "requests")
    assert installed(stack, "/tmp/pip") == NEWEST


def test_pip_requires_trusted_host_for_http(stack: Stack, mirror: Mirror) -> None:
    """Without --trusted-host pip refuses plain HTTP from another host, so the README must name the option."""
    said = stack.execute("client", "pip", "install", "--index-url=http://nginx:8080/simple/", "six", status=1)
    assert "not a trusted or secure host" in said


def test_uv_installs_with_hashes(stack: Stack, mirror: Mirror, requirements: str) -> None:
    """uv installs the same with required hashes."""
    index = ("--index-url=http://nginx:8080/simple/", "--target=/tmp/uv")
    stack.execute("client", "uv", "pip", "install", *index, "--require-hashes", "--requirement", requirements)
    assert installed(stack, "/tmp/uv") == NEWEST


def test_poetry_locks_upstreams_hashes(stack: Stack, mirror: Mirror, upstream: Upstream) -> None:
    """Poetry adds requests to a project, and locks it with upstream's hashes."""
    steps = (
        "rm -rf /tmp/project && mkdir /tmp/project && cd /tmp/project",
        "export POETRY_VIRTUALENVS_IN_PROJECT=true",
        "poetry init --no-interaction --name=project --python='>=3.11'",
        "poetry source add --priority=primary mirror http://nginx:8080/simple/",
        "poetry add --no-interaction requests",
        "cat poetry.lock",
    )
    lock = stack.execute("client", "sh", "-c", " && ".join(steps))
    for project, version in NEWEST.items():
        for name, sha256 in upstream.files(project).items():
            assert (sha256 in lock) is (f"-{version}" in name), name
    assert installed(stack, "/tmp/project/.venv/lib/python3.13/site-packages").items() >= NEWEST.items()


def test_client_network_reaches_only_nginx_and_control(stack: Stack, mirror: Mirror) -> None:
    """Clients cannot reach upstream or the syncer by any address, only nginx."""
    every = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    forbidden = [[address, 8000] for address in stack.inspect("fakepypi", every).split()]
    forbidden += [[address, 8090] for address in stack.inspect("syncer", every).split()]
    assert len(forbidden) == 2
    tried = json.dumps([["nginx", 8080], *forbidden])
    assert json.loads(stack.execute("client", "python3", "-c", REACHABLE, tried)) == [["nginx", 8080]]
    tried = json.dumps(forbidden)
    # The syncer must reach upstream; its own API listens on no network at all.
    assert json.loads(stack.execute("syncer", "python3", "-c", REACHABLE, tried)) == forbidden[:1]
