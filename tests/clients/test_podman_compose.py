"""podman-compose is no Docker Compose, so the README says that it does not run this stack."""

import shlex

import pytest
import yaml

from clients.guide import REPOSITORY
from clients.lab import Client
from nginx.containers import started

pytestmark = [pytest.mark.docker, pytest.mark.internet, pytest.mark.proves("reliability/clients")]

# `config` asks Podman for its version and for nothing else.
PODMAN = "#!/bin/sh\necho podman version 5.4.2\n"


def test_podman_compose_takes_the_containers_path_for_the_hosts(clients_image: str) -> None:
    """It fills ${MIRROR_POLICY:-…} from the service's own environment, so it mounts a path that the host has not."""
    files = [f"--volume={REPOSITORY / name}:/src/{name}:ro" for name in ("compose.yaml", "compose.data.yaml")]
    with started(clients_image, "--init", "--network=none", *files) as machine:
        client = Client(machine)
        client.write("bin/podman", PODMAN)
        client.run("chmod +x bin/podman")
        read = f"PATH={shlex.quote(client.home)}/bin:$PATH podman-compose -f /src/compose.yaml config 2>/dev/null"
        config = yaml.safe_load(client.run(read))
    sources = {
        volume.get("target"): volume["source"]
        for volume in config["services"]["syncer"]["volumes"]
        if isinstance(volume, dict) and "source" in volume
    }
    assert sources["/etc/pypi-mirror/mirror.toml"] == "/etc/pypi-mirror/mirror.toml"
    assert "podman-compose" in (REPOSITORY / "README.md").read_text()
