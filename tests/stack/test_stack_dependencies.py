"""What the lines of mirror.toml need, from PyPI itself: each line installs where only the mirror is in reach."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stack.compose import SERVICES, Stack, until
from stack.conftest import YEARLY
from stack.fake import JSON
from stack.mirror import Mirror

pytestmark = [
    pytest.mark.docker,
    pytest.mark.internet,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.proves("reliability/clients"),
]

LINES = ("jupyterlab", "django[argon2]", "apache-airflow")
PYTHONS = ("3.11", "3.13")
INDEX = "http://nginx:8080/simple/"
PIP = ("install", "--no-compile", "--trusted-host=nginx", "--only-binary=:all:", f"--index-url={INDEX}")
UV = ("pip", "install", "--only-binary=:all:", f"--index-url={INDEX}")
CLIENTS = {
    "3.11": (("/opt/clients-3.11/bin/pip", *PIP), ("uv", *UV, "--python=/opt/clients-3.11")),
    "3.13": (("pip", *PIP), ("uv", *UV)),
}
RESOLVE = ("uv", "pip", "compile", "--only-binary=:all:", f"--index-url={INDEX}", "-")


@dataclass(frozen=True)
class Filled:
    """The shipped stack after a sync from PyPI."""

    stack: Stack
    mirror: Mirror
    policy: Path

    def files(self) -> dict[str, set[str]]:
        """Return the files that each project's page offers."""
        listed = self.mirror.client.get("/simple/", headers={"Accept": JSON}).raise_for_status().json()
        return {project["name"]: set(self.mirror.files(project["name"])) for project in listed["projects"]}

    def install(self, line: str, by: Sequence[str]) -> None:
        """Install a line into an empty directory of the client, and remove it."""
        directory = f"/tmp/{Path(by[0]).name}/{canonicalize_name(Requirement(line).name)}"
        self.stack.execute("client", *by, f"--target={directory}", line)
        found = self.stack.execute("client", "ls", directory).split()
        assert any(canonicalize_name(one).startswith(Path(directory).name) for one in found)
        self.stack.execute("client", "rm", "-rf", directory)


def write(policy: Path, lines: Sequence[str]) -> None:
    """Write a mirror.toml for two Pythons on Linux and Windows, whose guard lets everything leave."""
    policy.parent.mkdir(exist_ok=True)
    policy.parent.chmod(0o755)
    policy.write_text(
        f"[mirror]\nprojects = {json.dumps(lines)}\nlatest = 1\n"
        f'[machines]\npythons = {json.dumps(PYTHONS)}\nplatforms = ["linux-x86_64", "windows-amd64"]\n'
        '[removal]\nguard = "100%"\n'
    )
    policy.chmod(0o644)


@contextmanager
def filled(policy: Path, lines: Sequence[str]) -> Iterator[Filled]:
    """Start the shipped stack with these lines, and wait for its first sync."""
    write(policy, lines)
    settings = {"MIRROR_CONFIG": str(policy.parent), "MIRROR_SCHEDULE": YEARLY, "MIRROR_DISK_RESERVE": "0%"}
    stack = Stack(settings=settings)
    try:
        stack.up(*SERVICES, "client")
        token = stack.execute("control", "mirrorctl", "token")
        with httpx2.Client(base_url=stack.url("nginx", 8080), trust_env=False, timeout=10) as client:
            mirror = Mirror(client, token)
            ended = until(lambda: [line for line in stack.logs("syncer") if "run ended" in line], seconds=300)
            assert '"state": "succeeded"' in ended[0], ended[0]
            yield Filled(stack, mirror, policy)
    finally:
        stack.down()


@pytest.fixture(scope="module")
def mirrored(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Return the stack that mirrors the lines."""
    with filled(tmp_path_factory.mktemp("dependencies") / "config/mirror.toml", LINES) as stack:
        yield stack


@pytest.mark.parametrize("python", PYTHONS)
def test_each_line_is_installed_from_the_mirror_alone(mirrored: Filled, python: str) -> None:
    """On a network that leads to the mirror alone, pip and uv install each line on each Python, with all it needs."""
    with ThreadPoolExecutor(2) as both:  # unpacking takes a core each
        for answer in [both.submit(mirrored.install, line, by) for line in LINES for by in CLIENTS[python]]:
            answer.result()


@pytest.mark.parametrize("line", LINES)
def test_each_line_is_resolved_for_the_other_machines(mirrored: Filled, line: str) -> None:
    """A resolver that sees only the mirror finds all that a line needs, for each machine of mirror.toml."""
    for python in PYTHONS:
        for platform in ("x86_64-unknown-linux-gnu", "x86_64-pc-windows-msvc"):
            target = (f"--python-version={python}", f"--python-platform={platform}")
            mirrored.stack.execute("client", *RESOLVE, *target, stdin=line)


def test_line_that_goes_takes_exactly_its_own_closure_along(mirrored: Filled, tmp_path: Path) -> None:
    """After a sync without a line the mirror offers what a new mirror of the other lines offers; it comes last."""
    *rest, gone = LINES
    before = mirrored.files()
    write(mirrored.policy, rest)
    run = mirrored.mirror.sync()
    assert (run["state"], run["failures"]) == ("succeeded", [])
    assert gone in before
    with filled(tmp_path / "config/mirror.toml", rest) as new:
        assert mirrored.files() == new.files()
