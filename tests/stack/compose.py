"""The shipped compose.yaml under its own project name, and the Docker calls of these tests."""

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

REPOSITORY = Path(__file__).parents[2]
SYNCER_IMAGE = "pypi-mirror-test-syncer"
CLIENT_IMAGE = "pypi-mirror-test-client"
SERVICES = ("syncer", "nginx", "control")

# Free ports, on the loopback only.
_PRIVATE = {
    f"{service}_{key}": value
    for service in ("MIRROR", "CONTROL", "PROMETHEUS", "GRAFANA")
    for key, value in (("BIND", "127.0.0.1"), ("PORT", "0"))
}
_OPERATORS = ("MIRROR_", "CONTROL_", "COMPOSE_", "PROMETHEUS_", "GRAFANA_")

T = TypeVar("T")

_BUSY = 5  # times as long as on an idle machine


def shipped(*arguments: str, directory: Path = REPOSITORY, status: int = 0) -> str:
    """Run ``docker compose`` as an operator does in a checkout, with nothing set in the shell."""
    return run("docker", "compose", f"--file={directory}/compose.yaml", *arguments, status=status, env=_environment())


def _environment() -> dict[str, str]:
    """Return the environment without the developer's own mirror settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith(_OPERATORS)}


def run(*command: str, status: int = 0, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must end with this status; return its output, and after a failure its errors too."""
    done = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == status, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return (done.stdout + done.stderr if status else done.stdout).strip()


def until(condition: Callable[[], T], *, seconds: float) -> T:
    """
    Return the first true answer; fail if none comes in time.

    Args:
        seconds: enough on an idle machine; on busy cores several times as long is no failure.
    """
    deadline = time.monotonic() + _BUSY * seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {_BUSY * seconds:g} s"
        time.sleep(0.05)
    return answer


@contextmanager
def container(*options: str) -> Iterator[str]:
    """Start a container beside the stack, yield its id, and remove it at the end."""
    started = run("docker", "run", "--detach", *options)
    try:
        yield started
    finally:
        run("docker", "rm", "--force", "--volumes", started)


def build() -> None:
    """Build all images under one name, because compose labels them by project and would rebuild them for another."""
    Stack(project="pypi-mirror-test").compose("build", "--quiet")


_SHIPPED_AND_OURS = (REPOSITORY / "compose.yaml", REPOSITORY / "tests/stack/compose.yaml")


@dataclass(frozen=True)
class Stack:
    """
    The shipped services, and the tests' own beside them.

    Args:
        settings: what an operator would set in ``.env``.
        overrides: further compose files, which take precedence.
        files: the shipped compose file, and the tests' own.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[Path, ...] = ()
    files: tuple[Path, ...] = _SHIPPED_AND_OURS
    project: str = field(default_factory=lambda: f"pypi-mirror-test-{secrets.token_hex(3)}")

    def compose(self, *arguments: str, status: int = 0, stdin: str | None = None) -> str:
        """Run ``docker compose`` without the developer's environment and .env."""
        files = (f"--file={path}" for path in (*self.files, *self.overrides))
        command = ("docker", "compose", "--env-file=/dev/null", f"--project-name={self.project}", *files, *arguments)
        return run(*command, status=status, stdin=stdin, env=_environment() | _PRIVATE | dict(self.settings))

    def up(self, *services: str) -> None:
        """Start services, or all, and wait until they are healthy."""
        self.compose("up", "--detach", "--no-build", "--wait", f"--wait-timeout={_BUSY * 60}", *services)

    def down(self) -> None:
        """Remove all of it, data included."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout=0")

    def execute(self, service: str, *command: str, status: int = 0, stdin: str | None = None) -> str:
        """Run a command in a service's container."""
        return self.compose("exec", "--no-TTY", service, *command, status=status, stdin=stdin)

    def url(self, service: str, port: int) -> str:
        """Return the URL of a service on the host; a restart changes it."""
        return f"http://{self.compose('port', service, str(port))}"

    def logs(self, service: str) -> list[str]:
        """Return the lines that a service wrote."""
        return self.compose("logs", "--no-log-prefix", "--no-color", service).splitlines()

    def inspect(self, service: str, template: str) -> str:
        """Return a property of a service's container, by Go template."""
        return run("docker", "inspect", f"--format={template}", self.compose("ps", "--all", "--quiet", service))
