"""The life of a mirror after its first start: it is moved, checked and removed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from stack.compose import CLIENT_IMAGE, REPOSITORY, SERVICES, Stack, run, shipped, until
from stack.conftest import YEARLY, write_policy
from stack.fake import Upstream
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

# A stack's objects, as `docker KIND ls` lists them.
KINDS = (("container", "--all"), ("network",), ("volume",))
NOBODY = "http://192.0.2.10:3128"  # TEST-NET-1


@pytest.fixture
def disk(images: None, tmp_path: Path) -> Iterator[Path]:
    """Return an empty directory that the services can write."""
    path = tmp_path / "disk"
    path.mkdir()
    path.chmod(0o777)
    yield path
    run("docker", "run", "--rm", f"--volume={path}:/disk", CLIENT_IMAGE, "sh", "-c", "rm -rf /disk/* /disk/.[!.]*")


@pytest.fixture
def unstarted(images: None, tmp_path: Path) -> Iterator[Stack]:
    """Return a separate stack, not started."""
    policy = write_policy(tmp_path / "config/mirror.toml", "six")
    settings = {
        "MIRROR_CONFIG": str(policy.parent),
        "MIRROR_SCHEDULE": YEARLY,
        "MIRROR_UPSTREAM": "http://fakepypi:8000",
    }
    stack = Stack(settings=settings | {"MIRROR_DISK_RESERVE": "0%"})
    yield stack
    stack.down()


def documented(page: str, command: str) -> str:
    """Return the documented command that begins with this, as one line."""
    found = re.search(rf"^{re.escape(command)}(?:.*\\\n)*.*", (REPOSITORY / "docs" / page).read_text(), re.MULTILINE)
    assert found, f"docs/{page} has no command that begins with: {command}"
    return found[0].replace("\\\n", " ").partition(" #")[0]


def installs(stack: Stack) -> list[str]:
    """Return the files of six that the mirror serves, after reading each."""
    with httpx2.Client(base_url=stack.url("nginx", 8080), trust_env=False) as client:
        mirror = Mirror(client, stack.execute("control", "mirrorctl", "token"))
        until(mirror.idle, seconds=30)
        assert mirror.missing(["six"]) == []
        page = client.get("/simple/six/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}).json()
        return [file["filename"] for file in page["files"]]


@pytest.mark.proves("reliability/host")
def test_move_to_another_disk_downloads_nothing(unstarted: Stack, disk: Path) -> None:
    """The documented steps move the tree; the mirror serves the same files from there without a download."""
    unstarted.up("fakepypi")
    unstarted.up("syncer", "nginx", "control")
    served = installs(unstarted)
    unstarted.compose("stop", "syncer")
    copy = documented("disk-and-move.md", "docker run --rm --network none -v pypi-mirror_mirror:")
    here = copy.replace("pypi-mirror_mirror", f"{unstarted.project}_mirror").replace("/data/mirror", str(disk))
    run("sh", "-ec", here)
    moved = Stack(settings={**unstarted.settings, "MIRROR_DATA": str(disk)}, project=unstarted.project)
    with httpx2.Client(base_url=unstarted.url("fakepypi", 8000), trust_env=False) as client:
        upstream = Upstream(client)
        upstream.do("forget")
        moved.up("syncer", "nginx", "control")
        assert installs(moved) == served
        moved.execute("control", "mirrorctl", "verify", "--follow")
        assert [one["path"] for one in upstream.do("requests")["requests"] if "/packages/" in one["path"]] == []


@pytest.mark.proves("reliability/host")
def test_uninstall_leaves_nothing(unstarted: Stack) -> None:
    """The documented command removes every container, network and volume of the stack."""
    unstarted.up("fakepypi")
    unstarted.up("syncer", "nginx", "control")
    command = documented("upgrade-and-uninstall.md", "docker compose --profile monitoring down")
    unstarted.compose(*command.removeprefix("docker compose ").split())
    ours = f"--filter=label=com.docker.compose.project={unstarted.project}"
    assert [run("docker", kind, "ls", "--quiet", *more, ours) for kind, *more in KINDS] == ["", "", ""]


@pytest.mark.proves("reliability/host")
@pytest.mark.parametrize("service", SERVICES)
def test_health_check_ignores_proxies(stack: Stack, service: str) -> None:
    """A container with a proxy, set by .env or by Docker's configuration, is healthy."""
    configured = json.loads(shipped("--env-file=/dev/null", "config", "--format=json"))["services"][service]
    proxies = [f"--env={key}={NOBODY}" for key in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY")]
    stack.compose("exec", "--no-TTY", *proxies, service, *configured["healthcheck"]["test"][1:])


@pytest.mark.proves("reliability/host")
def test_missing_grafana_image_does_not_stop_the_mirror(stack: Stack, mirror: Mirror, tmp_path: Path) -> None:
    """If Grafana's image cannot be pulled, only its own command fails; the mirror keeps running."""
    (tmp_path / "Dockerfile").write_text("FROM 127.0.0.1:1/none:1\n")
    override = tmp_path / "grafana.yaml"
    override.write_text(f"services: {{ grafana: {{ build: {tmp_path} }} }}\n")
    watched = Stack(settings=stack.settings, project=stack.project, overrides=(override,))
    before = stack.compose("ps", "--format={{.ID}} {{.Name}}", *SERVICES)
    said = watched.compose("--profile=monitoring", "up", "--detach", "--wait", status=17)
    assert "127.0.0.1:1/none:1" in said
    assert stack.compose("ps", "--format={{.ID}} {{.Name}}", *SERVICES) == before
    assert "COMPOSE_PROFILES" not in (REPOSITORY / ".env.example").read_text()
    assert mirror.missing(["six"]) == []


@pytest.mark.proves("reliability/host")
def test_second_clone_shares_nothing(tmp_path: Path) -> None:
    """The documented settings for a second clone share no container, network or volume with the first."""
    text = (REPOSITORY / "docs/second-mirror.md").read_text()
    (tmp_path / "env").write_text(text.partition("<<'END'\n")[2].partition("END\n")[0])

    def names(env: Path) -> tuple[set[str], set[str]]:
        found = json.loads(shipped(f"--env-file={env}", "--profile=*", "config", "--format=json"))
        own = {found["name"], *(one["name"] for kind in ("networks", "volumes") for one in found[kind].values())}
        return own, {port["published"] for name in SERVICES for port in found["services"][name].get("ports", [])}

    first, second = names(Path("/dev/null")), names(tmp_path / "env")
    assert first[0] & second[0] == set()
    assert first[1] & second[1] == set()
    assert len(first[1]) == len(second[1])


@pytest.mark.proves("reliability/host")
def test_unreadable_policy_names_the_remedy(unstarted: Stack) -> None:
    """A mirror.toml from a clone under umask 077 stops the start with the chmod that fixes it."""
    Path(unstarted.settings["MIRROR_CONFIG"], "mirror.toml").chmod(0o600)
    said = unstarted.compose("run", "--rm", "--no-deps", "--no-TTY", "syncer", status=2)
    assert "chmod o+r mirror.toml" in said
    assert "Traceback" not in said


def test_policy_replaced_by_an_editor_applies_without_a_restart(unstarted: Stack) -> None:
    """The syncer starts with the example, applies a mirror.toml renamed into place, and rejects a wrong one safely."""
    directory = Path(unstarted.settings["MIRROR_CONFIG"])
    policy = directory / "mirror.toml"
    example = policy.rename(directory / "mirror.example.toml")
    unstarted.up("fakepypi")
    unstarted.up("syncer", "nginx", "control")
    assert installs(unstarted)
    assert "mirror.example.toml, the starter selection" in unstarted.execute("control", "mirrorctl", "status")

    def replace(text: str) -> None:
        other = directory / "mirror.toml~"
        other.write_text(text)
        other.chmod(0o644)
        other.rename(policy)

    replace(example.read_text() + "latest = 0\n")
    until(lambda: any("line 3: mirror.latest = 0" in line for line in unstarted.logs("syncer")), seconds=20)
    unstarted.execute("syncer", "mirror-syncer", "check", status=2)
    unstarted.execute("control", "mirrorctl", "sync", "--follow", status=3)
    unstarted.compose("restart", "syncer")
    until(lambda: "line 3: mirror.latest = 0" in unstarted.execute("control", "mirrorctl", "status"), seconds=30)
    replace('[mirror]\nprojects = ["idna"]\n')
    until(lambda: any("policy read" in line for line in unstarted.logs("syncer")), seconds=20)
    unstarted.execute("control", "mirrorctl", "sync", "--follow")
    with httpx2.Client(base_url=unstarted.url("nginx", 8080), trust_env=False) as client:
        answers = {name: client.get(f"/simple/{name}/").status_code for name in ("idna", "six")}
    assert answers == {"idna": 200, "six": 404}
