"""The shipped stack with PyPI as its upstream."""

from pathlib import Path

import pytest

from stack.compose import SERVICES, Stack, until
from stack.conftest import write_policy

pytestmark = [pytest.mark.docker, pytest.mark.internet, pytest.mark.timeout(900)]


def test_three_real_projects_are_installed(images: None, tmp_path: Path) -> None:
    """Without an .env, a client without Internet access installs what the mirror just downloaded from PyPI."""
    policy = write_policy(tmp_path / "config/mirror.toml", "six", "idna", "packaging")
    policy.write_text(policy.read_text() + "latest = 1\n")
    stack = Stack(settings={"MIRROR_CONFIG": str(policy.parent)})
    try:
        stack.up(*SERVICES, "client")
        ended = until(lambda: [line for line in stack.logs("syncer") if "run ended" in line], seconds=90)
        assert '"state": "succeeded"' in ended[0]
        assert sum("defaults are in force" in line for line in stack.logs("syncer")) == 1
        index = ("--index-url=http://nginx:8080/simple/", "--trusted-host=nginx", "--only-binary=:all:")
        said = stack.execute("client", "pip", "install", *index, "--target=/tmp/real", "six", "idna", "packaging")
        assert "Successfully installed idna-" in said
        works = "import sys; sys.path.append('/tmp/real'); import six, packaging, idna; print(idna.encode('bücher'))"
        assert stack.execute("client", "python3", "-c", works) == "b'xn--bcher-kva'"
    finally:
        stack.down()
