"""pip, uv and poetry install, from a container that reaches nginx and nothing else."""

import json

import pytest

from stack.compose import Stack
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

# What `pip install requests` must end in; the newest of each that the fake upstream has.
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
    """Put a requirements file into the client that pins all files by the hashes that upstream itself names."""
    lines = []
    for project, version in NEWEST.items():
        hashes = [sha256 for name, sha256 in upstream.files(project).items() if f"-{version}" in name]
        lines.append(f"{project}=={version} " + " ".join(f"--hash=sha256:{sha256}" for sha256 in hashes))
    stack.execute("client", "sh", "-c", "cat > /tmp/requirements.txt", stdin="\n".join(lines))
    return "/tmp/requirements.txt"


def installed(stack: Stack, directory: str) -> dict[str, str]:
    """Return what is installed in a directory of the client, and empty it."""
    found: dict[str, str] = json.loads(stack.execute("client", "python3", "-c", INSTALLED, directory))
    stack.execute("client", "rm", "-rf", directory)
    return found


@pytest.mark.parametrize("root", ["/simple/", "/pypi/web/simple"])
def test_pip(stack: Stack, mirror: Mirror, requirements: str, root: str) -> None:
    """pip installs requests with all that it needs, from PyPI's path and from the story's, byte for byte upstream's."""
    index = (f"--index-url=http://nginx:8080{root}", "--trusted-host=nginx", "--target=/tmp/pip")
    stack.execute("client", "pip", "install", *index, "--require-hashes", "--requirement", requirements)
    assert installed(stack, "/tmp/pip") == NEWEST
    stack.execute("client", "pip", "install", *index, "requests")
    assert installed(stack, "/tmp/pip") == NEWEST


def test_pip_wants_trust(stack: Stack, mirror: Mirror) -> None:
    """Without --trusted-host pip refuses plain HTTP from another host, so the README must name the option."""
    said = stack.execute("client", "pip", "install", "--index-url=http://nginx:8080/simple/", "six", status=1)
    assert "not a trusted or secure host" in said


def test_uv(stack: Stack, mirror: Mirror, requirements: str) -> None:
    """uv installs the same, hashes required."""
    index = ("--index-url=http://nginx:8080/simple/", "--target=/tmp/uv")
    stack.execute("client", "uv", "pip", "install", *index, "--require-hashes", "--requirement", requirements)
    assert installed(stack, "/tmp/uv") == NEWEST


def test_poetry(stack: Stack, mirror: Mirror, upstream: Upstream) -> None:
    """Poetry adds requests to a project, and locks it with the hashes that upstream names."""
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


def test_no_way_out(stack: Stack, mirror: Mirror) -> None:
    """From the clients' network nginx answers; upstream and the syncer do not, by whatever address they have."""
    every = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    forbidden = [[address, 8000] for address in stack.inspect("fakepypi", every).split()]
    forbidden += [[address, 8090] for address in stack.inspect("syncer", every).split()]
    assert len(forbidden) == 2
    tried = json.dumps([["nginx", 8080], *forbidden])
    assert json.loads(stack.execute("client", "python3", "-c", REACHABLE, tried)) == [["nginx", 8080]]
    tried = json.dumps(forbidden)
    # Upstream is what the syncer is there to reach; its own API listens on no network at all.
    assert json.loads(stack.execute("syncer", "python3", "-c", REACHABLE, tried)) == forbidden[:1]
