"""`import` in the stack, by the commands of docs/import.md: the syncer's container cannot write to config/."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.compose import REPOSITORY, Stack
from stack.conftest import YEARLY, write_policy

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

LOCK = REPOSITORY / "tests/syncer/config/locks/files/pylock.pip.toml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the directory of a mirror.toml that names six."""
    return write_policy(tmp_path / "config/mirror.toml", "six").parent


@pytest.fixture
def stack(images: None, config: Path) -> Iterator[Stack]:
    """Return a stack of which nothing runs."""
    stack = Stack(settings={"MIRROR_CONFIG": str(config), "MIRROR_SCHEDULE": YEARLY, "MIRROR_DISK_RESERVE": "0%"})
    yield stack
    stack.down()


def documented(config: Path, source: Path) -> list[list[str]]:
    """Return the documented commands that edit in place, with these directories, without ``docker compose``."""
    text = (REPOSITORY / "docs/import.md").read_text().replace("\\\n", " ")
    commands = [line for line in text.splitlines() if line.startswith("docker compose run") and "--user" in line]
    values = {
        "$PWD/config": str(config),
        "$HOME/src/shop": str(source),
        "$(id -u):$(id -g)": f"{os.getuid()}:{os.getgid()}",
    }
    for written, value in values.items():
        commands = [command.replace(written, value) for command in commands]
    return [shlex.split(command)[2:] for command in commands]


def test_documented_commands_import_into_the_stack(stack: Stack, config: Path, tmp_path: Path) -> None:
    """Each command of docs/import.md works: through standard input, and in place by the operator's own user."""
    run = ("run", "--rm", "--no-deps", "--no-TTY", "syncer")
    before = (config / "mirror.toml").read_text()

    printed = stack.compose(*run, "import", "--print", "-", stdin="idna==3.10\n")
    checked = stack.compose(*run, "check", "-", stdin=printed)
    refused = stack.compose(*run, "import", "-", stdin="idna==3.10\n", status=2)
    unchanged = (config / "mirror.toml").read_text()
    source = tmp_path / "shop"
    source.mkdir()
    source.chmod(0o755)
    (source / "pyproject.toml").write_text('[project]\nname = "shop"\ndependencies = ["idna==3.10"]\n')
    (source / "uv.lock").write_bytes(LOCK.read_bytes())
    lines, lock = documented(config, source)
    stack.compose(*lines)
    stack.compose(*lock)

    assert "idna==3.10" in printed
    assert "valid: scope selected, 2 projects" in checked
    assert "Read-only file system" in refused
    assert "mount the directory of mirror.toml so that your user may write there, or use --print" in refused
    assert unchanged == before
    assert '"idna==3.10"' in (config / "mirror.toml").read_text()
    assert 'locks = ["locks/shop.lock"]' in (config / "mirror.toml").read_text()
    assert (config / "locks/shop.lock").read_bytes() == LOCK.read_bytes()
    assert (config / "mirror.toml").stat().st_uid == os.getuid()
