"""Operators' settings, their paths on the host, and the messages about wrong ones."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from stack.compose import CLIENT_IMAGE, REPOSITORY, SYNCER_IMAGE, Stack, container, run, shipped, until
from stack.conftest import YEARLY, write_policy
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture
def directory(stack: Stack, tmp_path: Path) -> Iterator[Path]:
    """Return a directory that the services can write, and take over their files at the end."""
    path = tmp_path / "mirror"
    path.mkdir()
    path.chmod(0o777)
    yield path
    run("docker", "run", "--rm", f"--volume={path}:/mirror", CLIENT_IMAGE, "sh", "-c", "rm -rf /mirror/*")


@pytest.fixture
def other(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """Return another stack, not started, whose tree is where `other.settings` will say."""
    policy = write_policy(tmp_path / "config/mirror.toml", "six")
    settings = {
        "MIRROR_CONFIG": str(policy.parent),
        "MIRROR_SCHEDULE": YEARLY,
        "MIRROR_UPSTREAM": "http://fakepypi:8000",
    }
    another = Stack(settings=settings | {"MIRROR_DISK_RESERVE": "0%"})
    yield another
    another.down()


def at(stack: Stack, path: Path) -> Stack:
    """Return the same stack with its tree at a path of the host."""
    return Stack(settings={**stack.settings, "MIRROR_DATA": str(path)}, project=stack.project)


def test_first_start_names_the_files_to_edit(stack: Stack, tmp_path: Path) -> None:
    """A start without settings logs in one line that defaults apply, and names the two files to edit."""
    policy = write_policy(tmp_path / "config/mirror.toml", "six")
    mount = f"--volume={policy.parent}:/etc/pypi-mirror:ro"
    # As compose.yaml sets it without an .env; without a network, so it sends no request.
    environment = stack.inspect("syncer", "{{range .Config.Env}}{{println .}}{{end}}").split("\n")
    fixed = [f"--env={line}" for line in environment if line.startswith(("MIRROR_POLICY=", "MIRROR_CA_FILE="))]
    assert len(fixed) == 2
    with container("--network=none", mount, *fixed, SYNCER_IMAGE) as started:
        told = until(
            lambda: [line for line in _logs(started) if "defaults are in force" in line],
            seconds=20,
        )
    assert len(told) == 1
    assert ".env" in told[0]
    assert "mirror.toml" in told[0]


def test_log_of_a_first_sync_is_short(stack: Stack, mirror: Mirror) -> None:
    """A first sync logs at most forty lines: the plan, the progress, the failures, and one summary."""
    log = stack.logs("syncer")
    ended = next(number for number, line in enumerate(log) if "run ended" in line)
    first = log[: ended + 1]
    assert len(first) <= 40
    assert sum('"message": "plan"' in line for line in first) == 1
    assert not [line for line in log if "Traceback" in line]


def test_tree_at_an_absolute_path_is_used(other: Stack, directory: Path) -> None:
    """With an absolute path in MIRROR_DATA the tree is created and served there, and no volume exists."""
    there = at(other, directory)
    there.up("fakepypi")
    there.up("syncer", "nginx", "control")
    token = there.execute("control", "mirrorctl", "token")
    with httpx2.Client(base_url=there.url("nginx", 8080), trust_env=False) as client:
        mirror = Mirror(client, token)
        until(mirror.idle, seconds=30)
        assert mirror.missing(["six"]) == []
        assert client.get("/simple/six/").text == (directory / "pypi/web/simple/six/index.html").read_text()
    assert (
        there.inspect("nginx", '{{range .Mounts}}{{if eq .Destination "/srv/mirror"}}{{.RW}}{{end}}{{end}}') == "false"
    )
    assert f"{there.project}_mirror" not in run("docker", "volume", "ls", "--format={{.Name}}").split()


@pytest.mark.proves("reliability/disk")
def test_missing_path_is_refused(other: Stack, tmp_path: Path) -> None:
    """The start refuses a missing path, such as a disk that is not mounted, by name, and does not create it."""
    absent = tmp_path / "absent"
    said = at(other, absent).compose("up", "--detach", "--no-build", "nginx", "syncer", status=1)
    assert str(absent) in said
    assert not absent.exists()


@pytest.mark.proves("reliability/disk")
def test_unwritable_path_names_the_remedy(other: Stack, tmp_path: Path) -> None:
    """A directory that the syncer cannot write stops it with the command that would change that."""
    directory = tmp_path / "locked"
    directory.mkdir(mode=0o755)
    said = at(other, directory).compose("run", "--rm", "--no-deps", "--no-TTY", "syncer", status=1)
    assert "chown 10001:10001" in said
    assert "Traceback" not in said
    assert list(directory.iterdir()) == []


def test_operators_secrets_reach_their_services(other: Stack, tmp_path: Path) -> None:
    """Control gets the operator's token; the syncer gets the operator's certificate authorities and netrc."""
    token, authority, netrc = tmp_path / "token", tmp_path / "authority.pem", tmp_path / "netrc"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    authority.write_text("not read before the syncer trusts it\n")
    netrc.write_text("machine fakepypi login operator password secret\n")
    for path in (token, authority, netrc):
        path.chmod(0o644)
    files = {"MIRROR_CONTROL_TOKEN_FILE": str(token), "MIRROR_CA_FILE": str(authority)}
    files["MIRROR_UPSTREAM_NETRC"] = str(netrc)
    own = Stack(settings={**other.settings, **files}, project=other.project)
    once = ("run", "--rm", "--no-deps", "--no-TTY")
    assert own.compose(*once, "control", "mirrorctl", "token") == token.read_text().strip()
    printed = own.compose(*once, "--entrypoint=sh", "syncer", "-c", 'cat "$MIRROR_CA_FILE" "$MIRROR_UPSTREAM_NETRC"')
    assert printed == f"{authority.read_text()}{netrc.read_text()}".strip()


def test_uncommented_example_changes_nothing(tmp_path: Path) -> None:
    """compose.yaml accepts every line of .env.example; uncommented, they change only the passed variables."""
    example = (REPOSITORY / ".env.example").read_text()
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE))
    configurations = [
        json.loads(shipped(f"--env-file={path}", "config", "--format=json")) for path in (os.devnull, tmp_path / ".env")
    ]
    passed_on = [configuration["services"]["syncer"].pop("environment") for configuration in configurations]
    assert passed_on[1]["MIRROR_SCHEDULE"] == "*/30 * * * *"
    for configuration in configurations:
        configuration["services"]["control"].pop("environment")
    assert configurations[0] == configurations[1]


@pytest.mark.proves("security/mistakes")
def test_misspelt_key_is_refused(other: Stack, tmp_path: Path) -> None:
    """An unknown key in .env stops the start, and the message suggests the intended one."""
    for name in ("compose.yaml", "compose.data.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "config", tmp_path / "config", dirs_exist_ok=True)
    (tmp_path / ".env").write_text("MIRROR_UPSTRAEM=https://pypi.example.org\n")
    images = tmp_path / "images.yaml"
    images.write_text(f"services: {{syncer: {{image: {SYNCER_IMAGE}}}}}\n")
    command = (f"--file={images}", f"--project-name={other.project}", "run", "--rm", "--no-deps", "--no-TTY", "syncer")
    said = shipped(*command, directory=tmp_path, status=2)
    assert "MIRROR_UPSTRAEM is not a setting; did you mean MIRROR_UPSTREAM?" in said


def test_wrong_value_fails_the_start_quickly(other: Stack) -> None:
    """`up --wait` with a wrong value fails within seconds by the container's name, whose log has key and remedy."""
    wrong = Stack(settings={**other.settings, "MIRROR_SCHEDULE": "hourly"}, project=other.project)
    began = time.monotonic()
    said = wrong.compose("up", "--detach", "--no-build", "--wait", "--wait-timeout=300", "syncer", status=1)
    assert time.monotonic() - began < 200  # on busy cores
    assert f"container {wrong.project}-syncer-1 is unhealthy" in said
    assert any("MIRROR_SCHEDULE = 'hourly'" in line and "'*/30 * * * *'" in line for line in wrong.logs("syncer"))
    assert until(lambda: "Restarting (2)" in wrong.compose("ps", "--all"), seconds=20)


def _logs(identifier: str) -> list[str]:
    return run("sh", "-c", f"docker logs {identifier} 2>&1").splitlines()
