"""How little the containers may do, as the engine itself tells it."""

import json
from typing import Any

import pytest

from stack.compose import SERVICES, Stack, run, shipped

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Return a service's name."""
    name: str = request.param
    return name


def inspected(stack: Stack, service: str) -> dict[str, Any]:
    """Return all that the engine knows of a service's container."""
    found: dict[str, Any] = json.loads(stack.inspect(service, "{{json .}}"))
    return found


def test_privileges(stack: Stack, service: str) -> None:
    """Each service is nobody's root, on a read-only root, without capabilities and with a bound on processes."""
    found = inspected(stack, service)
    host = found["HostConfig"]
    assert found["Config"]["User"] == "10001:10001"
    assert stack.execute(service, "id", "-u") == "10001"
    assert (host["ReadonlyRootfs"], host["Privileged"], host["Init"]) == (True, False, True)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["PidsLimit"] > 0
    stack.execute(service, "sh", "-c", "touch /etc/x /usr/x", status=1)


def test_lifecycle(stack: Stack, service: str) -> None:
    """Each service comes back by itself, says whether it is well, has time to stop, and bounds its logs."""
    found = inspected(stack, service)
    host, healthcheck = found["HostConfig"], found["Config"]["Healthcheck"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert found["State"]["Health"]["Status"] == "healthy"
    assert healthcheck["Interval"] >= 15e9
    assert found["Config"]["StopTimeout"] == (120 if service == "syncer" else 10)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}


def test_memory(stack: Stack) -> None:
    """Only control's memory is bounded: against the others the page cache of the files they handle would count."""
    bounded = {name for name in SERVICES if inspected(stack, name)["HostConfig"]["Memory"]}
    assert bounded == {"control"}


def test_mounts(stack: Stack) -> None:
    """The syncer alone can write to the tree; nginx and control share the access log's, and control has its own."""
    writable = {
        name: {mount["Destination"] for mount in inspected(stack, name)["Mounts"] if mount["RW"]} for name in SERVICES
    }
    assert writable == {
        "syncer": {"/srv/mirror", "/var/lib/pypi-mirror"},
        "nginx": {"/logs"},
        "control": {"/var/lib/pypi-mirror-control", "/logs"},
    }
    stack.execute("nginx", "touch", "/srv/mirror/x", status=1)


def test_networks(stack: Stack) -> None:
    """Clients meet nginx and control, control meets the syncer, and the syncer alone has a way out."""
    attached = {name: set(inspected(stack, name)["NetworkSettings"]["Networks"]) for name in SERVICES}
    own = {name: f"{stack.project}_{name}" for name in ("front", "back", "out")}
    assert attached == {
        "syncer": {own["back"], own["out"]},
        "nginx": {own["front"]},
        "control": {own["front"], own["back"]},
    }
    front, back, out = (json.loads(run("docker", "network", "inspect", network))[0] for network in own.values())
    # An internal network cannot publish ports; without masquerading no answer finds its way back to a container.
    assert front["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert (front["Internal"], front["EnableIPv6"]) == (False, False)
    assert (back["Internal"], out["Internal"]) == (True, False)


def test_published_ports(stack: Stack) -> None:
    """nginx's port is published, control's on the loopback, and the syncer's not at all."""
    published = {name: set(inspected(stack, name)["HostConfig"]["PortBindings"] or {}) for name in SERVICES}
    assert published == {"syncer": set(), "nginx": {"8080/tcp"}, "control": {"8081/tcp"}}
    services = json.loads(shipped("--env-file=/dev/null", "config", "--format=json"))["services"]
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert [(port["host_ip"], port["published"]) for port in ports["nginx"]] == [("0.0.0.0", "8080")]
    assert [(port["host_ip"], port["published"]) for port in ports["control"]] == [("127.0.0.1", "8081")]
    assert ports["syncer"] == []


def test_secrets_stay_outside(stack: Stack, service: str) -> None:
    """No image carries a word of what an operator set, and no environment carries the token."""
    token = stack.execute("control", "mirrorctl", "token")
    assert token not in json.dumps(inspected(stack, service)["Config"])
    history = run("docker", "history", "--no-trunc", f"pypi-mirror-test-{service}")
    assert "BEGIN CERTIFICATE" not in history
    assert token not in history
