"""One stack that most tests share: the shipped services, the fake upstream and a client."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fakepypi.corpus import ECOSYSTEM
from stack.compose import Stack, build, until
from stack.fake import Upstream
from stack.mirror import Mirror

# Uploaded by the upstream's own command line, and by `prepared`.
FILLERS = tuple(f"filler-{number:05}" for number in range(40))
VICTIMS = ("climber", "impostor", "truncated", "wrong-hash")
PROJECTS = (*ECOSYSTEM, *FILLERS, "large", *VICTIMS)

# It syncs at its first start, and then only when a test requests it.
YEARLY = "0 0 1 1 *"


def write_policy(path: Path, *projects: str) -> Path:
    """Write a mirror.toml that selects all of these projects, in a directory that the syncer may read."""
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)
    path.write_text(f"[mirror]\nprojects = {list(projects)!r}\n")
    path.chmod(0o644)
    return path


@pytest.fixture(scope="session")
def images() -> None:
    """Build the stack's images from this checkout."""
    build()


@pytest.fixture(scope="session")
def prepared(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return the stack with its upstream running, before all other services start."""
    policy = write_policy(tmp_path_factory.mktemp("policy") / "config/mirror.toml", *PROJECTS)
    stack = Stack(
        settings={
            "MIRROR_UPSTREAM": "http://fakepypi:8000",
            "MIRROR_CONFIG": str(policy.parent),
            "MIRROR_SCHEDULE": YEARLY,
            "MIRROR_DISK_RESERVE": "0%",
        }
    )
    try:
        stack.up("fakepypi")
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def faults(prepared: Stack) -> Iterator[Upstream]:
    """Return the upstream's control endpoint."""
    with httpx2.Client(base_url=prepared.url("fakepypi", 8000), trust_env=False, timeout=10) as client:
        upstream = Upstream(client)
        for victim in VICTIMS:
            upstream.upload(victim, "1.0")
        yield upstream


@pytest.fixture(scope="session")
def stack(prepared: Stack, faults: Upstream) -> Stack:
    """Return the whole stack, healthy."""
    prepared.up()
    return prepared


@pytest.fixture(scope="session")
def synced(stack: Stack) -> Iterator[Mirror]:
    """Return the mirror after its first sync."""
    token = stack.execute("control", "mirrorctl", "token")
    with httpx2.Client(base_url=stack.url("nginx", 8080), trust_env=False, timeout=10) as client:
        mirror = Mirror(client, token)
        until(mirror.idle, seconds=60)
        yield mirror


@pytest.fixture
def upstream(faults: Upstream, synced: Mirror) -> Iterator[Upstream]:
    """Return the upstream; all its faults end after the test."""
    yield faults
    faults.do("clear")
    until(synced.idle, seconds=60)


@pytest.fixture
def mirror(synced: Mirror, upstream: Upstream) -> Mirror:
    """Return the mirror, with no run active."""
    return synced
