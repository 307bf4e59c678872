"""podman-compose requests the same from Podman as Docker Compose from Docker, with the shipped compose.yaml."""

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clients.guide import REPOSITORY
from clients.lab import Client
from nginx.containers import started
from stack.compose import shipped

pytestmark = [pytest.mark.docker, pytest.mark.internet, pytest.mark.proves("reliability/clients")]

FILES = ("compose.yaml", "compose.data.yaml", "podman-compose.yaml", "config")
SERVICES = ("syncer", "nginx", "control")
DOCKERFILES = ("services/syncer/Dockerfile", "nginx/Dockerfile", "services/control/Dockerfile")

# It records Podman's calls, one a line. Created objects exist, and nothing else.
PODMAN = """#!/usr/bin/env python3
import json, pathlib, sys

call = sys.argv[1:]
calls = pathlib.Path(__file__).with_name("calls")
before = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
with calls.open("a") as log:
    log.write(json.dumps(call) + chr(10))
if call[0] == "--version":
    print("podman version 5.4.2")
elif call[0] == "ps":
    print("[]")
elif call[0] == "inspect":
    sys.exit(1)  # no image: all are built
elif call[:2] == ["network", "create"] and "--opt" in call:
    sys.exit("Error: unsupported bridge network option")  # as 5.4.2 of Docker's own options
elif call[1] in ("exists", "inspect"):
    created = any(earlier[:2] == [call[0], "create"] and earlier[-1] == call[-1] for earlier in before)
    sys.exit(0 if created else 1)
"""

# Every kind of setting that affects more than an environment: paths, ports, users, secrets, HTTPS. The paths exist in
# the clients' image, since podman-compose checks the sources of mounts.
EVERYTHING = {
    "MIRROR_DATA": "/srv",
    "MIRROR_CONFIG": "/media",
    "MIRROR_STATE": "/not/in/the/container",
    "MIRROR_LISTEN": "127.0.0.1:1",
    "MIRROR_BIND": "127.0.0.1",
    "MIRROR_PORT": "8000",
    "MIRROR_TLS_DIR": "/opt",
    "MIRROR_TLS_PORT": "9443",
    "MIRROR_NGINX": "tls",
    "MIRROR_HTPASSWD_FILE": "/etc/passwd",
    "MIRROR_UID": "1001",
    "MIRROR_GID": "1002",
    "MIRROR_NGINX_UID": "1003",
    "MIRROR_BASE_IMAGE": "debian:trixie",
    "MIRROR_CONTACT": "mirror@example.org",
    "MIRROR_CA_FILE": "/etc/group",
    "MIRROR_UPSTREAM_NETRC": "/etc/hosts",
    "MIRROR_WEBHOOK_SECRET_FILE": "/etc/shells",
    "MIRROR_CONTROL_TOKEN_FILE": "/etc/profile",
    "MIRROR_HOSTS": "mirror.example.org",
    "CONTROL_BIND": "127.0.0.2",
    "CONTROL_PORT": "8001",
    "HTTPS_PROXY": "http://proxy.example.org:3128",
}


@pytest.fixture(scope="module")
def machine(clients_image: str) -> Iterator[Client]:
    """Return a machine with podman-compose, the shipped files, and a Podman that only records its calls."""
    volumes = [f"--volume={REPOSITORY / name}:/src/{name}:ro" for name in (*FILES, *DOCKERFILES)]
    with started(clients_image, "--init", "--network=none", *volumes) as container:
        yield Client(container)


@pytest.mark.parametrize(
    "settings",
    [{}, {"MIRROR_DATA": "/srv"}, {"MIRROR_TLS_DIR": "/opt"}, EVERYTHING],
    ids=["nothing", "disk", "https", "everything"],
)
def test_podman_compose_reads_the_file_like_docker_compose(
    machine: Client, settings: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever .env sets, podman-compose mounts, publishes, builds and passes the same as Docker Compose."""
    for name in ("HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    clone = Path(Client(machine.container).home)
    dotenv = "".join(f"{key}={value}\n" for key, value in settings.items())
    for name in FILES:
        if (REPOSITORY / name).is_dir():
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    (tmp_path / ".env").write_text(dotenv)
    config = json.loads(shipped("config", "--format=json", directory=tmp_path).replace(str(tmp_path), str(clone)))
    calls = podman_calls(machine, clone, dotenv)
    for service in SERVICES:
        assert podman_service(calls, service) == docker_service(config, service)
    created = {call[-1]: options(call)["--opt"] for call in calls if call[:2] == ["volume", "create"]}
    for name, volume in config["volumes"].items():
        if name not in ("prometheus", "grafana"):
            opts = {f"{key}={value}" for key, value in volume.get("driver_opts", {}).items()}
            assert set(created[volume["name"]]) == opts


def podman_calls(machine: Client, clone: Path, dotenv: str) -> list[list[str]]:
    """Start the stack of a clone by podman-compose, and return its calls of Podman."""
    user = Client(machine.container, home=str(clone))
    user.write("bin/podman", PODMAN)
    user.write(".env", dotenv)
    user.run("chmod +x bin/podman && cp -r /src/* .")
    user.run(f"PATH={shlex.quote(user.home)}/bin:$PATH podman-compose up --detach")
    return [json.loads(line) for line in user.run("cat bin/calls").splitlines()]


def options(call: list[str]) -> dict[str, list[str]]:
    """Return the options of one of Podman's commands, each with all its values; its operands come last."""
    found: dict[str, list[str]] = defaultdict(list)
    rest = iter(call)
    for word in rest:
        if word.startswith("-"):
            name, equals, value = word.partition("=")
            found[name].append(value if equals or name in ("--init", "--read-only") else next(rest))
    return found


def podman_service(calls: list[list[str]], service: str) -> dict[str, Any]:
    """Return what Podman would do for a service."""
    create = options(next(call for call in calls if call[0] == "create" and call[-1] == f"pypi-mirror_{service}"))
    build = options(next(call for call in calls if call[0] == "build" and f"pypi-mirror_{service}" in call))
    mounts = [dict(pair.partition("=")[::2] for pair in mount.split(",")) for mount in create["--mount"]]
    binds = [bind.split(":") for bind in create["-v"] + create["--volume"]]
    labels = [
        label for label in create["--label"] if label.startswith(("ca-", "catalog-", "netrc-", "webhook-", "token-"))
    ]
    return {
        "environment": dict(pair.split("=", 1) for pair in create["-e"]),  # the last one counts
        "mounts": {(mount["source"], mount["destination"], "ro" in mount) for mount in mounts}
        | {(source, target, "ro" in mode.split(",")) for source, target, mode in ((*bind, "rw")[:3] for bind in binds)},
        "ports": set(create["-p"]),
        "user": create["-u"],
        "labels": set(labels),
        "security": set(create["--security-opt"]),
        "dropped": create["--cap-drop"],
        "networks": {network.partition(":")[0] for network in create["--network"]},
        "dns": create["--dns"],
        "limits": (create["--pids-limit"], bool(create["-m"])),
        "read-only, init": ("--read-only" in create, "--init" in create),
        "restart": create["--restart"],
        "build": (build["-f"][0], set(build["--build-arg"]), set(build["--secret"])),
    }


def docker_service(config: dict[str, Any], service: str) -> dict[str, Any]:
    """Return what Docker would do for a service, from Compose's resolved file."""
    told = config["services"][service]
    build = told["build"]
    secrets = {name: secret["file"] for name, secret in config["secrets"].items()}
    volumes = {name: volume["name"] for name, volume in config["volumes"].items()}
    ports = [(port.get("host_ip"), port["published"], str(port["target"])) for port in told.get("ports", [])]
    return {
        "environment": {key: value for key, value in told["environment"].items() if value is not None},
        "mounts": {
            (volumes.get(mount["source"], mount["source"]), mount["target"], mount.get("read_only", False))
            for mount in told["volumes"]
        }
        | {(secrets[secret["source"]], f"/run/secrets/{secret['source']}", True) for secret in told["secrets"]},
        "ports": {":".join(part for part in port if part) for port in ports},
        "user": [told["user"]],
        "labels": {f"{key}={value}" for key, value in told.get("labels", {}).items()},
        "security": set(told["security_opt"]),
        "dropped": told["cap_drop"],
        "networks": {config["networks"][name]["name"] for name in told["networks"]},
        "dns": told.get("dns", []),
        "limits": ([str(told["pids_limit"])], "mem_limit" in told),
        "read-only, init": (told["read_only"], told["init"]),
        "restart": [told["restart"]],
        "build": (
            f"{build['context']}/{build['dockerfile']}",
            {f"{key}={value}" for key, value in build["args"].items()},
            {f"id={secret['source']},src={secrets[secret['source']]}" for secret in build.get("secrets", [])},
        ),
    }
