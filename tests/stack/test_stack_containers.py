"""The restrictions of the containers, as the engine reports them."""

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stack.compose import REPOSITORY, SERVICES, Stack, run, shipped, until
from stack.mirror import Mirror

SOCKETS = "/run/pypi-mirror"
WRITABLE = {
    "syncer": {"/srv/mirror", "/var/lib/pypi-mirror", SOCKETS},
    "nginx": {"/logs"},
    "control": {"/var/lib/pypi-mirror-control", "/logs"},
}
# SELinux' two categories; a container of Docker's own choice has them with a chance of one in 500,000.
LEVEL = "label=level:s0:c90,c91"
# nginx runs as another user than the syncer, in its group.
USERS = {"syncer": "10001", "nginx": "10002", "control": "10001"}
GROUP = "10001"
# Privileged actions, for root or a process with its capabilities.
ROOTS = (
    "chown 0 /tmp",
    "chroot / true",
    "mknod /tmp/null c 1 3",
    "mount -t tmpfs none /tmp",
    "mount -o remount,rw /",
    "unshare --map-root-user true",
    "echo 1 > /proc/sys/kernel/sysrq",
)
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Return a service's name."""
    name: str = request.param
    return name


def inspected(stack: Stack, service: str) -> dict[str, Any]:
    """Return the engine's full description of a service's container."""
    found: dict[str, Any] = json.loads(stack.inspect(service, "{{json .}}"))
    return found


def test_service_runs_without_privileges(stack: Stack, service: str) -> None:
    """Each service runs as non-root on a read-only root, without capabilities and with a process limit."""
    found = inspected(stack, service)
    host = found["HostConfig"]
    assert found["Config"]["User"] == f"{USERS[service]}:{GROUP}"
    assert stack.execute(service, "id", "-u") == USERS[service]
    assert (host["ReadonlyRootfs"], host["Privileged"], host["Init"]) == (True, False, True)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["PidsLimit"] > 0
    stack.execute(service, "sh", "-c", "touch /etc/x /usr/x", status=1)


@pytest.mark.proves("security/containers")
def test_every_service_is_hardened() -> None:
    """Each service of compose.yaml, under any profile, runs as non-root on a read-only root and gains no privileges."""
    services = json.loads(shipped("--env-file=/dev/null", "--profile=*", "config", "--format=json"))["services"]
    assert set(SERVICES) <= set(services)
    for name, service in services.items():
        assert service.get("user", "").split(":")[0] not in ("", "0", "root"), name
        assert service.get("read_only"), name
        assert service.get("cap_drop") == ["ALL"], name
        assert set(service.get("security_opt", [])) - {LEVEL} == {"no-new-privileges:true"}, name
        assert service.get("pids_limit", 0) > 0, name
        opened = {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"} & set(service)
        assert not {key for key in opened if service[key]}, name
        assert not [volume for volume in service.get("volumes", []) if "docker.sock" in str(volume)], name


def test_socket_is_shared_under_selinux() -> None:
    """Only syncer and control share an SELinux level, which lets control connect to the syncer's socket."""
    services = json.loads(shipped("--env-file=/dev/null", "--profile=*", "config", "--format=json"))["services"]
    assert {name for name, service in services.items() if LEVEL in service["security_opt"]} == {"syncer", "control"}


@pytest.mark.proves("security/containers")
def test_process_in_a_container_has_no_privileges(stack: Stack, service: str) -> None:
    """The kernel shows each process as non-root, without any capability, unable to gain one, with seccomp filters."""
    told = stack.execute(service, "sh", "-c", "cat /proc/[0-9]*/status")
    lines = dict.fromkeys(
        line for line in told.splitlines() if line.startswith(("Uid", "Gid", "Cap", "NoNew", "Seccomp:"))
    )
    said: dict[str, set[str]] = {}
    for key, _, value in (line.partition(":") for line in lines):
        said.setdefault(key, set()).update(value.split())
    assert said == {
        "Uid": {USERS[service]},
        "Gid": {GROUP},
        **{f"Cap{which}": {"0000000000000000"} for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
        "NoNewPrivs": {"1"},
        "Seccomp": {"2"},
    }


@pytest.mark.proves("security/containers")
def test_privileged_action_in_a_container_fails(stack: Stack, service: str) -> None:
    """A container refuses each action that needs root."""
    tools = "command -v chown chroot mknod mount unshare >/dev/null || echo 'a tool is missing'"
    script = "; ".join((tools, *(f"({attempt}) >/dev/null 2>&1 && echo '{attempt}'" for attempt in ROOTS)))
    assert stack.execute(service, "sh", "-c", f"{script}; true") == ""


@pytest.mark.proves("security/containers")
def test_service_writes_only_to_tmp_and_its_volumes(stack: Stack, service: str) -> None:
    """A service can write only to /tmp and its own volumes; all other paths, secrets included, are read-only."""
    aside = "\\( -path /proc -o -path /sys -o -path /dev \\) -prune"
    # Without a secret compose mounts /dev/null, which nobody can change; find looks beneath the mount.
    kept = 'while read -r path; do [ -c "$path" ] || echo "$path"; done'
    search = f"find / {aside} -o -writable ! -type l -print -prune 2>/dev/null | {kept}"
    found = stack.execute(service, "sh", "-c", search)
    # Connecting to a socket is a write to it, even if its directory is mounted read-only.
    connected = {f"{SOCKETS}/syncer.sock"} if service == "control" else set()
    assert set(found.split()) == WRITABLE[service] | connected | {"/tmp"}


def test_service_restarts_and_reports_its_health(stack: Stack, service: str) -> None:
    """Each service restarts automatically, reports its health, has time to stop, and bounds its logs."""
    found = inspected(stack, service)
    host, healthcheck = found["HostConfig"], found["Config"]["Healthcheck"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert found["State"]["Health"]["Status"] == "healthy"
    assert healthcheck["Interval"] >= 15e9
    assert found["Config"]["StopTimeout"] == (120 if service == "syncer" else 10)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}


def test_only_control_has_a_memory_limit(stack: Stack) -> None:
    """Only control's memory is limited, because the page cache of files would count for the other services."""
    bounded = {name for name in SERVICES if inspected(stack, name)["HostConfig"]["Memory"]}
    assert bounded == {"control"}


@pytest.mark.proves("security/containers")
def test_only_the_syncer_writes_to_the_tree(stack: Stack) -> None:
    """Only the syncer can write to the tree; nginx and control share the access log's volume; control has its own."""
    writable = {
        name: {mount["Destination"] for mount in inspected(stack, name)["Mounts"] if mount["RW"]} for name in SERVICES
    }
    assert writable == WRITABLE
    stack.execute("nginx", "touch", "/srv/mirror/x", status=1)


@pytest.mark.proves("security/neighbours")
def test_nginx_cannot_read_hidden_files(stack: Stack) -> None:
    """nginx's user cannot read withdrawn or partially downloaded files, whatever its configuration says."""
    for hidden in ("/srv/mirror/pypi/.withdrawn", "/srv/mirror/pypi/.staging"):
        stack.execute("syncer", "ls", hidden)
        assert "Permission denied" in stack.execute("nginx", "ls", hidden, status=2)
    stack.execute("nginx", "ls", "/srv/mirror/pypi/web/simple")


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("bind", "addresses"), [("", {"0.0.0.0", "::"}), ("127.0.0.1", {"127.0.0.1"}), ("[::1]", {"::1"})]
)
def test_mirror_listens_on_ipv4_and_ipv6(images: None, bind: str, addresses: set[str]) -> None:
    """Without MIRROR_BIND the mirror listens on IPv4 and IPv6; an address limits it to that one."""
    alone = Stack(settings={"MIRROR_BIND": bind})
    try:
        alone.up("nginx")
        published = json.loads(alone.inspect("nginx", "{{json .NetworkSettings.Ports}}"))["8080/tcp"]
        assert {one["HostIp"] for one in published} == addresses
        for one in published:
            host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(one["HostIp"], one["HostIp"])
            assert httpx2.get(f"http://{host}:{one['HostPort']}/healthz", trust_env=False).text == "ok\n"
    finally:
        alone.down()


@pytest.mark.proves("security/containers")
def test_networks_separate_clients_from_the_syncer(stack: Stack) -> None:
    """Clients share a network with nginx and control; the syncer shares none, and only it has a route out."""
    attached = {name: set(inspected(stack, name)["NetworkSettings"]["Networks"]) for name in SERVICES}
    own = {name: f"{stack.project}_{name}" for name in ("front", "out")}
    assert attached == {"syncer": {own["out"]}, "nginx": {own["front"]}, "control": {own["front"]}}
    front, out = (json.loads(run("docker", "network", "inspect", network))[0] for network in own.values())
    # An internal network cannot publish ports; without masquerading no answer finds its way back to a container.
    assert front["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert (front["Internal"], front["EnableIPv6"]) == (False, False)
    assert out["Internal"] is False


@pytest.mark.proves("security/containers", "security/clients")
def test_syncer_listens_on_no_network(stack: Stack) -> None:
    """The syncer has no listening TCP or UDP socket, so neither its network nor the host's users reach its API."""
    listening = "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null || true"
    rows = [line.split() for line in stack.execute("syncer", "sh", "-c", listening).splitlines()]
    # 0A is LISTEN; 127.0.0.11 (0B00007F) is Docker's own resolver, which the engine puts into each container.
    opened = [row[1] for row in rows if row[0] != "sl" and row[3] in ("0A", "07")]
    assert [place for place in opened if not place.startswith("0B00007F:")] == []
    networks = inspected(stack, "syncer")["NetworkSettings"]["Networks"].values()
    knocks = (
        f"(timeout 2 bash -c 'exec 3<>/dev/tcp/{network['IPAddress']}/8090' 2>/dev/null && echo answers)"
        for network in networks
    )
    script = " & ".join((*knocks, "wait"))
    assert [stack.execute(service, "sh", "-c", script) for service in ("client", "nginx", "control")] == ["", "", ""]
    assert stack.execute("client", "bash", "-c", "exec 3<>/dev/tcp/nginx/8080 && echo open") == "open"


@pytest.mark.proves("security/clients")
def test_only_control_uses_the_syncers_socket(stack: Stack) -> None:
    """Only the owner can use the private API's socket; control can use it but not replace it; nginx has none."""
    assert stack.execute("syncer", "stat", "-c", "%a %u %F", f"{SOCKETS}/syncer.sock") == "600 10001 socket"
    assert stack.execute("syncer", "stat", "-c", "%a %u", SOCKETS) == "700 10001"
    ask = f"import socket as s; c = s.socket(s.AF_UNIX); c.connect('{SOCKETS}/syncer.sock'); print('open')"
    assert stack.execute("control", "python3", "-c", ask) == "open"
    stack.execute("control", "rm", f"{SOCKETS}/syncer.sock", status=1)
    stack.execute("nginx", "test", "-e", SOCKETS, status=1)


@pytest.mark.proves("reliability/crash")
def test_socket_survives_a_kill(stack: Stack, synced: Mirror) -> None:
    """A killed syncer leaves its socket; the next one replaces it, and control finds it without a restart."""
    before = stack.execute("syncer", "stat", "-c", "%z", f"{SOCKETS}/syncer.sock")
    stack.compose("kill", "--signal=KILL", "syncer")
    assert stack.execute("control", "ls", SOCKETS) == "syncer.sock"
    stack.up()
    assert stack.execute("syncer", "stat", "-c", "%z", f"{SOCKETS}/syncer.sock") != before
    until(lambda: synced.client.get("/api/v1/status").json()["syncer_up"], seconds=10)
    stack.execute("syncer", "mirror-syncer", "sync", "six")
    said = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "syncer", "sync", "six")
    assert json.loads(said.splitlines()[-1])["trigger"] == "cli"


@pytest.mark.proves("security/containers", "security/clients")
def test_published_ports_match_the_documentation(stack: Stack) -> None:
    """nginx's port is published, control's only on the loopback, and the syncer's not at all."""
    published = {name: set(inspected(stack, name)["HostConfig"]["PortBindings"] or {}) for name in SERVICES}
    assert published == {"syncer": set(), "nginx": {"8080/tcp"}, "control": {"8081/tcp"}}
    services = json.loads(shipped("--env-file=/dev/null", "--profile=*", "config", "--format=json"))["services"]
    ports = {name: service.get("ports", []) for name, service in services.items()}
    # Without an address the engine publishes on all addresses, of IPv4 and IPv6.
    assert [(port.get("host_ip"), port["published"]) for port in ports["nginx"]] == [(None, "8080")]
    assert [(port["host_ip"], port["published"]) for port in ports["control"]] == [("127.0.0.1", "8081")]
    assert ports["syncer"] == []
    # The documentation names the port of each other service, such as a profile's.
    documented = (REPOSITORY / "README.md").read_text() + (REPOSITORY / ".env.example").read_text()
    assert all(f"{port['published']}" in documented for several in ports.values() for port in several)


def test_images_and_environments_hold_no_secret(stack: Stack, service: str) -> None:
    """No image contains a value that an operator set, and no environment contains the token."""
    token = stack.execute("control", "mirrorctl", "token")
    assert token not in json.dumps(inspected(stack, service)["Config"])
    history = run("docker", "history", "--no-trunc", f"pypi-mirror-test-{service}")
    assert "BEGIN CERTIFICATE" not in history
    assert token not in history


MONITORING = ("prometheus", "grafana")


def test_monitoring_needs_its_profile() -> None:
    """Without the profile "monitoring" neither of its services exists."""
    assert set(shipped("--env-file=/dev/null", "config", "--services").split()) == set(SERVICES)
    with_it = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--services").split()
    assert set(with_it) == {*SERVICES, *MONITORING}


@pytest.mark.parametrize("name", MONITORING)
def test_monitoring_is_restricted(name: str) -> None:
    """Prometheus and Grafana are as restricted as the others, listen on the loopback, and write to one volume each."""
    configured = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--format=json")
    service = json.loads(configured)["services"][name]
    user, group = service["user"].split(":")
    assert (int(user) > 0, int(group) >= 0) == (True, True)
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service["healthcheck"]["test"]
    assert service["logging"]["options"]["max-size"]
    assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
    assert [volume["source"] for volume in service["volumes"] if not volume.get("read_only")] == [name]
    # Grafana reaches only Prometheus; Prometheus reaches control.
    assert set(service["networks"]) == {"prometheus": {"front", "monitor"}, "grafana": {"monitor"}}[name]
    (base,) = re.findall(r"^FROM (.+)", (REPOSITORY / "monitoring" / name / "Dockerfile").read_text(), re.MULTILINE)
    assert base[-1].isdigit(), "the image must be pinned to a version"


@pytest.mark.proves("reliability/host")
def test_only_the_policy_is_mounted_from_the_clone() -> None:
    """Containers mount only config/ from the clone, since the modes of files depend on the clone's umask."""
    configured = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--format=json")
    services = json.loads(configured)["services"].values()
    mounted = {volume["source"] for service in services for volume in service["volumes"] if volume["type"] == "bind"}
    assert mounted == {str(REPOSITORY / "config")}


def test_monitoring_has_no_route_out() -> None:
    """The network of Prometheus and Grafana does not masquerade, so their connections cannot leave the host."""
    configured = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--format=json")
    network = json.loads(configured)["networks"]["monitor"]
    assert network["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert network["enable_ipv6"] is False


def test_grafana_administrator_needs_a_password_file(tmp_path: Path) -> None:
    """Grafana has an administrator only if a file has the password; otherwise grafana.ini disables it."""

    def environment(env: Path) -> dict[str, str]:
        found = json.loads(shipped(f"--env-file={env}", "--profile=monitoring", "config", "--format=json"))
        given = found["services"]["grafana"]["environment"].items()
        return {key: value for key, value in given if key.startswith("GF_")}

    (tmp_path / "password").write_text("geheim\n")
    (tmp_path / "env").write_text(f"GRAFANA_PASSWORD_FILE={tmp_path / 'password'}\n")
    (tmp_path / "none").write_text("")
    without, given = environment(tmp_path / "none"), environment(tmp_path / "env")
    assert set(without.values()) == {""}
    assert given == {
        "GF_SECURITY_ADMIN_PASSWORD__FILE": "/run/secrets/grafana_password",
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "false",
    }
